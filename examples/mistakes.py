"""Two mistakes that a test of shapes cannot show: `torchdropout audit examples/mistakes.py`."""

import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, dim, heads, p=0.1):
        super().__init__()
        self.heads, self.p = heads, p
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)
        return x + F.dropout(self.out(y.transpose(1, 2).flatten(2)), self.p)
