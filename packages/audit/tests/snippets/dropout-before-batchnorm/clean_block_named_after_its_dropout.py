from torch import nn


class NormReluDropout(nn.Module):
    def __init__(self, wide, p):
        super().__init__()
        self.norm = nn.GroupNorm(4, wide)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return self.drop(self.norm(x).relu())


class Net(nn.Module):
    def __init__(self, p=0.2):
        super().__init__()
        self.first = NormReluDropout(8, p)
        self.second = NormReluDropout(8, p)

    def forward(self, x):
        return self.second(self.first(x))


class ConvBatchNormDropout(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return self.drop(self.norm(self.conv(x)))


class Once(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.only = ConvBatchNormDropout(p)
        self.last = nn.Linear(8, 8)

    def forward(self, x):
        return self.last(self.only(x))
