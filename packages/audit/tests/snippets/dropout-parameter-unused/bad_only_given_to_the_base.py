from torch import nn


class Attention(nn.Module):
    def __init__(self, size, heads=1, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.heads = heads
        self.proj = nn.Linear(size, size)

    def forward(self, x):
        return self.proj(x.softmax(-1)) * self.heads


class SelfAttention(Attention):
    def __init__(self, size, heads=1, dropout=0.1):
        super().__init__(size, heads, dropout)
        self.q = nn.Parameter(self.proj.weight)
