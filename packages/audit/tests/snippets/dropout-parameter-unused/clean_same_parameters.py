from torch import nn


class CBlock(nn.Module):
    # The other kind of block: one list of arguments builds both.
    def __init__(self, dim, qk_scale=None, drop=0.0, attn_drop=0.0):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 5)
        self.drop = nn.Dropout(drop)

    def forward(self, x):
        return self.drop(self.conv(x))


class Block(nn.Module):
    def __init__(self, dim, qk_scale=None, drop=0.0, attn_drop=0.0):
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, 4, dropout=attn_drop)
        self.scale = qk_scale
        self.drop = nn.Dropout(drop)

    def forward(self, x):
        return self.drop(self.attn(x, x, x)[0] * self.scale)
