import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, dropout, condition_dropout):
        super().__init__()
        self.dropout = dropout
        # For guidance, which the caller asks for.
        self.drawn = torch.distributions.Bernoulli(probs=1 - condition_dropout)

    def forward(self, x, y, use_dropout=True):
        if self.training:
            x[torch.rand(x.size()) < self.dropout] = 0
        mask = y > 0
        y[mask] = 0
        if use_dropout:
            y = y * self.drawn.sample((y.size(0), 1))
        return torch.where(mask, x, torch.zeros_like(x)), y
