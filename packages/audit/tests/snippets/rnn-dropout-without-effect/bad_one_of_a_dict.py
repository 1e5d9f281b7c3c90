from torch import nn


class A(nn.Module):
    def __init__(self, kind, p):
        super().__init__()
        self.rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](8, 8, 1, dropout=0.2)  #! rnn-dropout-without-effect
