from torch import nn


class Config:
    def __init__(self, hidden=64):
        self.hidden = hidden
        self.rate = 0.5
        self.layers = 1


class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.rnn = nn.LSTM(
            8,
            config.hidden,
            config.layers,
            dropout=config.rate,  #! rnn-dropout-without-effect advice
        )

    def forward(self, x):
        return self.rnn(x)[0]
