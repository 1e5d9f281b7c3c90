from torch import nn


class Layer(nn.Module):
    def __init__(self, d, drop=0.0):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(drop)

    def forward(self, x):
        return self.fc(self.drop(x))


class Net(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.layer = Layer(d)
        self.bn = nn.BatchNorm1d(d)

    def forward(self, x):
        return self.bn(self.layer(x))


class Other(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.layer = Layer(d, drop=p)

    def forward(self, x):
        return self.layer(x)
