import torch
from torch import nn


class Ones(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        dropout_rate = self.p
        if self.training:
            mask = torch.bernoulli(torch.ones_like(x) * (1 - dropout_rate))
            return x * mask  #! mask-not-scaled advice
        return x


class OnesOfShape(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        keep = 1 - self.drop_rate
        if self.training:
            x = x * torch.bernoulli(torch.ones(x.shape) * keep)  #! mask-not-scaled advice
        return x


class NewFull(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if self.training:
            x = x * torch.bernoulli(x.new_full(x.shape, 1 - self.drop_rate))  #! mask-not-scaled advice
        return x


class FullLike(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if self.training:
            x = x * torch.full_like(x, 1 - self.drop_rate).bernoulli()  #! mask-not-scaled advice
        return x


class InPlace(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if self.training:
            x = x * torch.empty_like(x).bernoulli_(1 - self.drop_rate)  #! mask-not-scaled advice
        return x


class ByArgument(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x):
        if self.training:
            x = x * torch.bernoulli(torch.empty_like(x), p=1 - self.drop_rate)  #! mask-not-scaled advice
        return x
