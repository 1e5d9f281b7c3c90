from torch import nn


class Encoder(nn.Module):
    def __init__(self, size, hidden, layers=2, p=0.1, act="tanh"):
        super().__init__()
        self.rnn = nn.LSTM(
            size,
            hidden,
            layers,
            nonlinearity=act,  #! dropout-wrong-arguments
            dropout=p,
        )

    def forward(self, x):
        return self.rnn(x)[0]
