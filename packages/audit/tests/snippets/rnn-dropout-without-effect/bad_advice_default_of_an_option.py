from torch import nn


class RNNConfig:
    def __init__(self, layers=1, rate=0.3):
        self.layers = layers
        self.rate = rate


class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.rnn = nn.GRU(8, 8, config.layers, dropout=config.rate)  #! rnn-dropout-without-effect advice

    def forward(self, x):
        return self.rnn(x)[0]
