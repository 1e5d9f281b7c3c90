from functools import partial

import torch.nn.functional as F
from torch import nn

from .kernels import attention

attend = partial(F.scaled_dot_product_attention, is_causal=True)


class Held(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p
        self._attention = F.scaled_dot_product_attention

    def forward(self, q, k, v):
        return self._attention(q, k, v, dropout_p=self.p if self.training else 0.0)


class Alias(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p

    def forward(self, q, k, v):
        if not self.training:
            return attend(q, k, v)
        return attend(q, k, v, dropout_p=self.p)


class Bound(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.attend = partial(F.scaled_dot_product_attention, dropout_p=0.0)

    def forward(self, q, k, v):
        return self.attend(q, k, v)


class Other(nn.Module):
    def __init__(self, fused, p=0.1):
        super().__init__()
        self.p = p
        self.attend = F.scaled_dot_product_attention if fused else attention

    def forward(self, q, k, v):
        return self.attend(q, k, v, dropout_p=self.p)
