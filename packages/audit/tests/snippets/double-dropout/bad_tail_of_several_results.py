from torch import nn


class Attention(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.value = nn.Linear(d, d)
        self.to_out = nn.Sequential(nn.Linear(d, d), nn.Dropout(p))

    def forward(self, q, v, more=False):
        weights = (q @ v.transpose(-1, -2)).softmax(-1)
        out = weights @ self.value(v)
        out = self.to_out(out)
        if more:
            return out, weights, q
        else:
            return out, weights


class Layer(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.attention = Attention(d, p)
        self.drop = nn.Dropout(p)
        self.norm = nn.LayerNorm(d)

    def forward(self, x, more=False):
        if more:
            y, _, z = self.attention(x, x, more)
        else:
            y, _ = self.attention(x, x)
        x = x + self.drop(y)  #! double-dropout advice
        return self.norm(x)
