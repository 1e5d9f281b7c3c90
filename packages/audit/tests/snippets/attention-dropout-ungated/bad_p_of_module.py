import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, p):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.attn_drop = nn.Dropout(p)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.attn_drop.p)  #! attention-dropout-ungated
