from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, inner, p):
        super().__init__()
        self.to_out = nn.Sequential(nn.Linear(inner, dim), nn.Dropout(p))

    def forward(self, x):
        return self.to_out(x)
