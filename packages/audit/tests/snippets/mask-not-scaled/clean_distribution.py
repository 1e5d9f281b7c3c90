import torch
from torch import nn


class Tutorial(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if self.training:
            binomial = torch.distributions.Binomial(probs=1 - self.drop_rate)
            return x * binomial.sample(x.size()) * (1.0 / (1 - self.drop_rate))
        return x


class InEvaluation(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if self.training:
            ones = torch.ones_like(x)
            return x * torch.bernoulli(ones * (1 - self.drop_rate))
        return x * (1 - self.drop_rate)


class Compared(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if self.training:
            x = x * torch.rand_like(x).ge(self.drop_rate) / (1 - self.drop_rate)
        return x
