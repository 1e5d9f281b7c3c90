import torch
from torch import nn

from .kernels import flash_attn_func


class Attention(nn.Module):
    def forward(self, q, k, v):
        # A function of that name of one's own: it may gate.
        return flash_attn_func(q, k, v, dropout_p=self.p)
