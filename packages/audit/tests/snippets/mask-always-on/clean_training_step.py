import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, drop_prob=0.1):
        super().__init__()
        self.drop_prob = drop_prob
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        return self.linear(x)

    def training_step(self, x):
        return self(x * (torch.rand_like(x, dtype=torch.float32) > self.drop_prob)).sum() / (1 - self.drop_prob)
