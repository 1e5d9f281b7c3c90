from torch import nn


class LSTM(nn.LSTM):
    def __init__(self, size, layers=2, dropout=0.0):
        super().__init__(size, size, num_layers=layers, dropout=dropout)


rnn = LSTM(8, dropout=0.5)
