from torch import nn


class A(nn.Module):
    def __init__(self, n_layers=1, dropout=0.1):
        super().__init__()
        self.n_layers = n_layers
        self.rnn = nn.GRU(8, 8, self.n_layers, dropout=dropout)  #! rnn-dropout-without-effect advice
