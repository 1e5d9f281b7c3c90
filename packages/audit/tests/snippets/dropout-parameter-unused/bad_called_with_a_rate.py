from torch import nn


class Base(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.fc = nn.Linear(dim, dim)

    def forward(self, x):
        return self.fc(x)


class Positional(Base):
    def __init__(self, dropout):  #! dropout-parameter-unused advice
        super().__init__(16)


class ByName(Base):
    def __init__(self, dropout):  #! dropout-parameter-unused advice
        super().__init__(dim=16)


class Other(Base):
    def __init__(self, dropout):  #! dropout-parameter-unused advice
        setup()


def twice(x, dropout):  #! dropout-parameter-unused advice
    y = x + x
    return y


def net(p):
    return nn.Sequential(Positional(p), ByName(p), Other(p)), twice(1, p)
