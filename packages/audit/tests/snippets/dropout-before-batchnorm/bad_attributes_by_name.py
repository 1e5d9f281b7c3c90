import torch.nn.functional as F
from torch import nn


class M0(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.n = n
        for i in range(n):
            setattr(self, f"fc{i}", nn.Linear(d, d))
            setattr(self, "bn%d" % i, nn.BatchNorm1d(d))
        self.drop = nn.Dropout(p)
    def forward(self, x):
        for i in range(self.n):
            x = getattr(self, f"fc{i}")(x)
            x = getattr(self, "bn%d" % i)(x)
            x = self.drop(F.relu(x))  #! dropout-before-batchnorm advice
        return x


class M1(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.n = n
        for i in range(n):
            self.add_module("fc" + str(i), nn.Linear(d, d))
            self.add_module("bn" + str(i), nn.BatchNorm1d(d))
        self.drop = nn.Dropout(p)
    def forward(self, x):
        for i in range(self.n):
            x = self._modules["fc" + str(i)](x)
            bn = self._modules["bn" + str(i)]
            x = self.drop(F.relu(bn(x)))  #! dropout-before-batchnorm advice
        return x


class M2(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
        self.bn = nn.BatchNorm1d(d)
    def forward(self, x):
        x = getattr(self, "drop")(x)  #! dropout-before-batchnorm advice
        return getattr(self, "bn")(self.fc(x))


class M3(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
        self.bn = nn.BatchNorm1d(d)
    def forward(self, x):
        return self.bn.forward(self.fc.forward(self.drop.forward(x)))  #! dropout-before-batchnorm advice
