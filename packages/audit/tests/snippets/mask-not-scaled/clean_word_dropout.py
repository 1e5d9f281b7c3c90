import torch
import torch.nn.functional as F
from torch import nn


class WordDropout(nn.Module):
    def __init__(self, dropout_rate=0.05):
        super().__init__()
        self.dropout_rate = dropout_rate

    def forward(self, x):
        if not self.training or not self.dropout_rate:
            return x
        mask = x.data.new(x.size(0), x.size(1), 1).bernoulli_(1 - self.dropout_rate)
        return mask * x
