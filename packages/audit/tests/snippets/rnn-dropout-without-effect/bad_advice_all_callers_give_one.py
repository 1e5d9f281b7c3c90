from torch import nn


class Encoder(nn.Module):
    def __init__(self, d, n_layers, dropout):
        super().__init__()
        self.rnn = nn.GRU(d, d, n_layers, dropout=dropout)  #! rnn-dropout-without-effect advice


class Net(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.encoder = Encoder(d, 1, 0.5)
