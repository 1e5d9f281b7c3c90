import torch
from torch import nn


class ChannelDropout(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        keep = torch.rand(x.shape[:2], device=x.device) >= self.p
        return x * keep[..., None] / (1 - self.p)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = ChannelDropout(0.1)
        self.norm = nn.BatchNorm1d(16)
        self.last = nn.Dropout(0.1)

    def forward(self, x):
        return self.last(self.norm(self.drop(x)))  #! dropout-before-batchnorm advice
