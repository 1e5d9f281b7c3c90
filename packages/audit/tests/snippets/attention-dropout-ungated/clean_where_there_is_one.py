import torch.nn.functional as F
from torch import nn

from .own import attention

attend = F.scaled_dot_product_attention if hasattr(F, "scaled_dot_product_attention") else attention
named = getattr(F, "scaled_dot_product_attention", attention)
gated = getattr(F, "scaled_dot_product_attention", None)


class Attention(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p

    def forward(self, q, k, v):
        # Which function it is is not known; the own one may see the mode.
        x = attend(q, k, v, dropout_p=self.p) + named(q, k, v, dropout_p=self.p)
        return x + gated(q, k, v, dropout_p=self.p if self.training else 0.0)
