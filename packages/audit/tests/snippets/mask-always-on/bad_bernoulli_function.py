import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, attn_drop=0.1):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.attn_drop = attn_drop

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        weights = torch.softmax(q @ k.transpose(-2, -1), -1)
        keep = 1 - self.attn_drop
        weights = weights * torch.bernoulli(torch.full_like(weights, keep)) / keep  #! mask-always-on
        return weights @ v
