from torch import nn

from .attention import SelfAttention


class Attention(SelfAttention):
    # The base may apply it.
    def __init__(self, p):
        super().__init__()
        self.dropout = nn.Dropout(p)

    def forward(self, x):
        return super().forward(x)


class Layer(nn.TransformerEncoderLayer):
    # torch's forward applies `self.dropout1`.
    def __init__(self, p):
        super().__init__(8, 2)
        self.dropout1 = nn.Dropout(p)

    def forward(self, x):
        return super().forward(x) + 1


class Chain(nn.Sequential):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return super().forward(x) + 1
