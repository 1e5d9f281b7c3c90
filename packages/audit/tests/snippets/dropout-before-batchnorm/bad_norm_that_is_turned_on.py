from torch import nn


class Conv(nn.Module):
    def __init__(self, width, out, use_norm=True):
        super().__init__()
        self.conv = nn.Conv2d(width, out, 1)
        if use_norm:
            self.norm = nn.BatchNorm2d(out)
        else:
            self.norm = None

    def forward(self, x):
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return x


class Head(nn.Module):
    def __init__(self, width, classes, p):
        super().__init__()
        self.first = Conv(width, width, use_norm=False)
        self.drop = nn.Dropout2d(p)
        self.last = Conv(width, classes)

    def forward(self, x):
        return self.last(self.drop(self.first(x)))  #! dropout-before-batchnorm advice


class Classifier(nn.Module):
    def __init__(self, width, drop=0.0):
        super().__init__()
        self.drop = nn.Dropout(drop)
        self.bn = nn.BatchNorm1d(width)

    def forward(self, x):
        return self.bn(self.drop(x))


# What drops is the dropout of the whole model: that of its part has no rate.
class Net(nn.Module):
    def __init__(self, width, drop_rate=0.0):
        super().__init__()
        self.drop = nn.Dropout(drop_rate)
        self.head = Classifier(width)

    def forward(self, x):
        x = self.drop(x)  #! dropout-before-batchnorm advice
        return self.head(x)
