from torch import nn


class Printed(nn.Module):
    def __init__(self, dim, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        print("dropout is", dropout)
        self.layers = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Dropout())

    def forward(self, x):
        return self.layers(x)


class AssertedAndStored(nn.Module):
    def __init__(self, dim, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        assert 0 <= dropout < 1
        self.dropout = dropout
        self.fc = nn.Linear(dim, dim)

    def forward(self, x):
        return self.fc(x)


class CheckedAndStored(nn.Module):
    def __init__(self, dim, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        if dropout > 1:
            raise ValueError(dim)
        self.dropout = float(dropout)
        self.fc = nn.Linear(dim, dim)

    def forward(self, x):
        return self.fc(x)


class StoredWithAnother(nn.Module):
    def __init__(self, dim, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.dim, self.dropout = dim, dropout
        self.fc = nn.Linear(self.dim, self.dim)

    def forward(self, x):
        return self.fc(x)
