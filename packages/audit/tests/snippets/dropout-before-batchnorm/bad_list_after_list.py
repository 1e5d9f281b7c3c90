from torch import nn


class M(nn.Module):
    def __init__(self, sizes, p):
        super().__init__()
        layers = []
        for a, b in zip(sizes, sizes[1:]):
            layers.append(nn.Linear(a, b))
            layers.append(nn.Dropout(p))  #! dropout-before-batchnorm advice
        self.enc = nn.Sequential(*layers)
        self.bn = nn.BatchNorm1d(sizes[-1])
    def forward(self, x):
        return self.bn(self.enc(x))
