import torch
import torch.nn.functional as F
from torch import nn


class Head(nn.Module):
    def __init__(self, dropout=0.1):
        super().__init__()
        self.drop = nn.Dropout(dropout)

    def forward(self, scores, mask):
        if self.training:
            scores = scores.masked_fill(mask == 0, 0)
        return self.drop(scores * mask)
