from torch import nn


class BN0(nn.BatchNorm1d):
    pass
class M0(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
        self.bn = BN0(d)
    def forward(self, x):
        return self.bn(self.fc(self.drop(x)))  #! dropout-before-batchnorm advice


class BN1(nn.BatchNorm1d):
    def forward(self, x):
        return super().forward(x.transpose(1, 2)).transpose(1, 2)
class M1(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
        self.bn = BN1(d)
    def forward(self, x):
        return self.bn(self.fc(self.drop(x)))  #! dropout-before-batchnorm advice
