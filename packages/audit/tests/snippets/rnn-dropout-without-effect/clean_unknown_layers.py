from torch import nn


class Net(nn.Module):
    def __init__(self, num_layers, dropout=0.1):
        super().__init__()
        self.rnn = nn.LSTM(10, 20, num_layers, dropout=dropout)
