from torch import nn


class Either(nn.Module):
    def __init__(self, c, p):
        super().__init__()
        self.conv = nn.Conv3d(c, c, 3)
        self.dropout = nn.Dropout3d(p=p)
        self.bn = nn.BatchNorm3d(c)

    def forward(self, x):
        x = self.dropout(self.conv(x))
        if self.dropout.p == 0:
            x = self.bn(x)
        return x


class ByRate(nn.Module):
    def __init__(self, c, p):
        super().__init__()
        self.p = p
        self.conv = nn.Conv3d(c, c, 3)
        self.dropout = nn.Dropout3d(p)
        self.bn = nn.BatchNorm3d(c)

    def forward(self, x):
        x = self.conv(x)
        if self.p > 0:
            x = self.dropout(x)
        if not self.p:
            x = self.bn(x)
        return x


class InElse(nn.Module):
    def __init__(self, c, p):
        super().__init__()
        self.p = p
        self.dropout = nn.Dropout3d(p)
        self.bn = nn.BatchNorm3d(c)

    def forward(self, x):
        x = self.dropout(x)
        if self.p != 0:
            x = x.relu()
        else:
            x = self.bn(x)
        return x


class OrNone(nn.Module):
    def __init__(self, c, p):
        super().__init__()
        self.dropout = nn.Dropout3d(p) if p else None
        self.bn = nn.BatchNorm3d(c)

    def forward(self, x):
        if self.dropout is not None:
            x = self.dropout(x)
        if self.dropout is None:
            x = self.bn(x)
        return x
