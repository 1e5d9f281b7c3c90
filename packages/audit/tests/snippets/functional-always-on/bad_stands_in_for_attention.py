import torch
import torch.nn.functional as F
from torch import nn


def sdpa(q, k, v, dropout_p=0.0):
    scores = torch.softmax(q @ k.transpose(-2, -1), dim=-1)
    return F.dropout(scores, p=dropout_p) @ v  #! functional-always-on


def attention(q, k, v, drop_prob=0.0):
    # Neither its name nor its parameters say that it is torch's.
    scores = torch.softmax(q @ k.transpose(-2, -1), dim=-1)
    return F.dropout(scores, p=drop_prob) @ v  #! functional-always-on advice


class Attention(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p

    def forward(self, q, k, v):
        return sdpa(q, k, v, dropout_p=self.p)
