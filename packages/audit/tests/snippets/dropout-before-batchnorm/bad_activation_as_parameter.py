from torch import nn


class Head(nn.Module):
    def __init__(self, n, act):
        super().__init__()
        self.act = act
        self.drop = nn.Dropout(0.2)
        layers = []
        for _ in range(n):
            layers.append(nn.Linear(8, 8))
            layers.append(nn.BatchNorm1d(8))
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        x = self.act(self.drop(x))  #! dropout-before-batchnorm advice
        for layer in self.layers:
            x = layer(x)
        return x
