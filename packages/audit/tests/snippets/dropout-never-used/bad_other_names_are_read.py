from torch import nn


class M0(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.n = n
        for i in range(n):
            setattr(self, f"fc{i}", nn.Linear(d, d))
        self.dropout = nn.Dropout(p)  #! dropout-never-used advice
    def forward(self, x):
        for i in range(self.n):
            x = getattr(self, f"fc{i}")(x)
        return x


class M1(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.n = n
        for i in range(n):
            self.add_module("layer" + str(i), nn.Linear(d, d))
        self.dropout = nn.Dropout(p)  #! dropout-never-used advice
    def forward(self, x):
        for i in range(self.n):
            x = self._modules["layer" + str(i)](x)
        return x
