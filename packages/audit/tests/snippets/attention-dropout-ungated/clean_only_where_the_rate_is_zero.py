import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.drop = nn.Dropout(p)
        # The fused kernel is taken only where there is nothing to drop.
        self.flash = self.p == 0.0

    def forward(self, q, k, v):
        if self.flash:
            return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)
        return self.drop((q @ k.transpose(-2, -1)).softmax(-1)) @ v


class Plain(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, q, k, v):
        if not self.p:
            return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)
        return q
