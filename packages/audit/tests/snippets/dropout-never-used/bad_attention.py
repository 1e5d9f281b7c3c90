import torch
from torch import nn


class ProbAttention(nn.Module):
    def __init__(self, scale=None, attention_dropout=0.1):
        super().__init__()
        self.scale = scale
        self.dropout = nn.Dropout(attention_dropout)  #! dropout-never-used advice

    def forward(self, queries, keys, values):
        scores = torch.einsum("bld,bsd->bls", queries, keys) * self.scale
        return torch.softmax(scores, -1) @ values


class Other(nn.Module):
    # Its own dropout is used: it is another one.
    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        return self.dropout(x)
