from torch import nn


class Layers(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.dropout = nn.Dropout(p)

    def forward(self, x):
        return self.linear(x)


class Model(nn.Module):
    def __init__(self, p, config):
        super().__init__()
        self.params = Layers(p)
        self.config = config

    def forward(self, x):
        # `params` are layers here, which the call says
        return self.params.dropout(self.params(x)) * self.config.scale
