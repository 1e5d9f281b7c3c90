from torch import nn


class A(nn.Module):
    def __init__(self, kind, p):
        super().__init__()
        cell = nn.LSTM if kind else nn.GRU
        self.rnn = cell(8, 8, num_layers=1, dropout=0.2)  #! rnn-dropout-without-effect
