from torch import nn


class Block(nn.Module):
    def __init__(self, dim, p):
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, 8, dropout=p, batch_first=True)

    def forward(self, x):
        return self.attn(x, x, x)[0]
