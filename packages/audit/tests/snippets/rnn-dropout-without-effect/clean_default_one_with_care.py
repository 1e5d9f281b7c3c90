from torch import nn


class Tested(nn.Module):
    def __init__(self, num_layers=1, dropout=0.1):
        super().__init__()
        self.rnn = nn.LSTM(10, 20, num_layers, dropout=dropout if num_layers > 1 else 0.0)


class Checked(nn.Module):
    def __init__(self, num_layers=1, dropout=0.1):
        super().__init__()
        if num_layers == 1:
            dropout = 0.0
        self.rnn = nn.LSTM(10, 20, num_layers, dropout=dropout)


class Off(nn.Module):
    def __init__(self, num_layers=1, dropout=0.0):
        super().__init__()
        self.rnn = nn.LSTM(10, 20, num_layers, dropout=dropout)


class Deep(nn.Module):
    # This file builds it, with its own number of layers.
    def __init__(self, num_layers=1, dropout=0.1):
        super().__init__()
        self.rnn = nn.LSTM(10, 20, num_layers, dropout=dropout)


class Net(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.deep = Deep(layers)
