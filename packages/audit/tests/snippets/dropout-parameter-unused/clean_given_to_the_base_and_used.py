from torch import nn


class Attention(nn.Module):
    def __init__(self, size, heads=1, dropout=0.1):
        super().__init__()
        self.heads = heads
        self.proj = nn.Linear(size, size)

    def forward(self, x):
        return self.proj(x.softmax(-1)) * self.heads


class SelfAttention(Attention):
    # It is what the parameter is for.
    def __init__(self, size, heads=1, dropout=0.1):
        super().__init__(size, heads, dropout)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        return super().forward(self.drop(x))
