from torch import nn


class A(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.rnn = nn.LSTM(8, 8, dropout=1 - p)  #! rnn-dropout-without-effect advice
