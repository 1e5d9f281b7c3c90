from torch import nn


class M0(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
        self.bn = nn.BatchNorm1d(d)
    def forward(self, feats):
        out = {k: self.drop(v) for k, v in feats.items()}  #! dropout-before-batchnorm advice
        out["a"] = self.fc(out["a"])
        return self.bn(out["a"])


class M1(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
        self.bn = nn.BatchNorm1d(d)
    def forward(self, data):
        data.x = self.drop(data.x)  #! dropout-before-batchnorm advice
        data.x = self.fc(data.x)
        data.x = self.bn(data.x)
        return data


class M2(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
        self.bn = nn.BatchNorm1d(d)
    def forward(self, g, h):
        g.ndata["h"] = self.drop(h)  #! dropout-before-batchnorm advice
        g.update_all(fn.copy_u("h", "m"), fn.sum("m", "h"))
        h = g.ndata["h"]
        return self.bn(self.fc(h))


class M3(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.bns = nn.ModuleList([nn.BatchNorm1d(d) for _ in range(n)])
        self.drop = nn.Dropout(p)
        self.fc = nn.Linear(d, d)
    def forward(self, x):
        bn = self.bns[0]
        fc = self.fc
        return bn(fc(self.drop(x)))  #! dropout-before-batchnorm advice
