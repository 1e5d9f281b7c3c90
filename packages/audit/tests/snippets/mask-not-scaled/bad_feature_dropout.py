import torch
import torch.nn.functional as F
from torch import nn


class Encoder(nn.Module):
    def __init__(self, dim, feature_dropout=0.1):
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        self.feature_dropout = feature_dropout

    def forward(self, x):
        x = self.linear(x)
        if self.training and self.feature_dropout > 0:
            mask = torch.rand_like(x, dtype=torch.float32) > self.feature_dropout
            x = x * mask.float()  #! mask-not-scaled advice
        return torch.tanh(x)
