import functools

import torch
import torch.nn.functional as F
from torch import nn


@torch.jit.script
def fused(x, bias, p: float):
    return F.dropout(x + bias, p)  #! functional-always-on


@functools.lru_cache
def size(n):
    return 2 * n


class Net(nn.Module):
    def forward(self, x):
        return fused(x, self.bias, 0.1)[: size(2)]
