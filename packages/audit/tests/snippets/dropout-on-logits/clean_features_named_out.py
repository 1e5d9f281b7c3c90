from torch import nn


class Block(nn.Module):
    def __init__(self, dim, p):
        super().__init__()
        self.out = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(p))

    def forward(self, x):
        return x + self.out(x)
