import torch
from torch import nn


class Tutorial(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if self.training:
            binomial = torch.distributions.Binomial(probs=1 - self.drop_rate)
            return x * binomial.sample(x.size())  #! mask-not-scaled advice
        return x


class NamedOnes(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if self.training:
            ones = x.new_ones(x.shape[0], 1)
            x = x * torch.bernoulli(ones * (1 - self.drop_rate))  #! mask-not-scaled advice
        return x


class Compared(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if self.training:
            x = x * torch.rand_like(x).gt(self.drop_rate).float()  #! mask-not-scaled advice
        return x


class DividedByP(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if not self.training:
            return x
        keep = torch.distributions.Binomial(probs=1 - self.drop_rate).sample(x.shape)
        return x * keep / self.drop_rate  #! mask-not-scaled
