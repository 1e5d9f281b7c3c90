from torch import nn


class Block(nn.Module):
    def __init__(self, dim, drop=0.1, attn_drop=0.0):  #! dropout-parameter-unused advice
        super().__init__()
        # NOTE: drop path for stochastic depth, we shall see if this is better than dropout here
        self.attn = nn.MultiheadAttention(dim, 4, dropout=attn_drop)

    def forward(self, x):
        return x + self.attn(x, x, x)[0]
