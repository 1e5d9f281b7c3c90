from torch import nn


class Attention(nn.Module):
    def __init__(self, d, p, q=0.0):
        super().__init__()
        self.value = nn.Linear(d, d)
        self.to_out = nn.Sequential(nn.Linear(d, d), nn.Dropout(p))
        self.last = nn.Sequential(nn.Linear(d, d), nn.Dropout(q))

    def forward(self, q, v, more=False):
        weights = (q @ v.transpose(-1, -2)).softmax(-1)
        out = self.to_out(weights @ self.value(v))
        if more:
            out = out.relu()
        return out, weights


class Other(Attention):
    def forward(self, q, v):
        out = self.to_out(q)
        return self.value(out), out


class Undropped(Attention):
    def forward(self, q, v):
        out = self.last(self.to_out(q))
        return out, q


class Layer(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.attention = Attention(d, p)
        self.other = Other(d, p)
        self.undropped = Undropped(d, p)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        y, _ = self.attention(x, x)
        x = x + self.drop(y)
        y, _ = self.other(x, x)
        x = x + self.drop(y)
        y, _ = self.undropped(x, x)  # built without `q`
        return x + self.drop(y)
