from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return self.layers(x)


class Asserted(Net):
    def __init__(self, dim, dropout=0.0):
        super().__init__()
        assert dropout == 0, "not supported"
        self.layers = nn.Linear(dim, dim)


class Refused(Net):
    def __init__(self, dim, dropout=0.0):
        super().__init__()
        if dropout > 0:
            raise NotImplementedError
        self.layers = nn.Linear(dim, dim)


class Chosen(Net):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.dropout = dropout
        if dropout > 1:
            raise ValueError
        else:
            self.layers = nn.Linear(dim, dim)


class Corrected(Net):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.dropout = dropout
        if dropout > 1:
            dim = 1
            if dim > 2:
                pass
            raise ValueError(dim)
        self.layers = nn.Linear(dim, dim)


class InATuple(Net):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        both = dim, dropout
        self.layers = build(both)


class InTwoPlaces(Net):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        both = self.dim, self.dropout = dim, dropout
        self.layers = build(both)


class InAList(Net):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.dim, *self.rates = dim, dropout, dropout
        self.layers = build(self.rates)
