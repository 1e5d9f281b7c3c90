import math

import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, p):
        super().__init__()
        self.align = nn.Linear(dim, 1)
        self.dropout = nn.Dropout(p)

    def forward(self, x, softmax_mask):
        score = self.dropout(F.leaky_relu(self.align(x)))  #! dropout-on-logits advice
        score = score + softmax_mask
        return F.softmax(score, -2) * x

    def filled(self, q, k, mask):
        score = self.dropout(q @ k)  #! dropout-on-logits advice
        score = score.masked_fill(mask, float("-inf")) / math.sqrt(q.shape[-1])
        return score.softmax(-1)

    def added(self, q, k, v, attn_mask):
        score = self.dropout(q @ k)  #! dropout-on-logits advice
        score += attn_mask
        return F.softmax(score, -1) @ v
