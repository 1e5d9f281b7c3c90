import torch.nn.functional as F
from torch import nn


def rate(module):
    return module.p if module.training else 0.0


class Attention(nn.Module):
    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=rate(self))
