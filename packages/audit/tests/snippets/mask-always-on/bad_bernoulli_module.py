import torch
import torch.nn.functional as F
from torch import nn


class FullEmbeddingDropout(nn.Module):
    def __init__(self, dropout: float):
        super().__init__()
        self.dropout = dropout

    def forward(self, x):
        mask = x.new().resize_((x.size(1), 1)).bernoulli_(1 - self.dropout).expand_as(x)
        mask = mask / (1 - self.dropout)
        return mask * x  #! mask-always-on
