import torch
from torch import nn


class TutorialDropout(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        binomial = torch.distributions.binomial.Binomial(probs=1 - self.p)
        dropped = x * binomial.sample(x.shape)  #! mask-always-on
        return dropped / (1 - self.p)


class Dropout(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.draw = torch.distributions.Binomial(1, 1 - p)

    def forward(self, x):
        keep = self.draw.sample(x.size()).to(x.device)
        return x * keep / (1 - self.p)  #! mask-always-on
