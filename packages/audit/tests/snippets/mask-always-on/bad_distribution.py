import torch
import torch.nn.functional as F
from torch import nn


from torch.distributions import Bernoulli


class GraphLayer(nn.Module):
    def __init__(self, dim, keep_prob=0.9):
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        self.keep_prob = keep_prob

    def forward(self, x):
        h = self.linear(x)
        h *= Bernoulli(torch.full_like(h, self.keep_prob)).sample() / self.keep_prob  #! mask-always-on
        return F.relu(h)
