import torch
from torch import nn


class TutorialDropout(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        if self.training:
            binomial = torch.distributions.binomial.Binomial(probs=1 - self.p)
            return x * binomial.sample(x.size()) * (1.0 / (1 - self.p))
        return x


class Thinning(nn.Module):
    # Counts are drawn: each of `n` molecules is kept or not.
    def __init__(self, n, drop_rate=0.5):
        super().__init__()
        self.counts = torch.distributions.Binomial(n, 1 - drop_rate)

    def forward(self, x):
        return x * self.counts.sample(x.shape)


class Threshold(nn.Module):
    def __init__(self, drop_rate=0.5):
        super().__init__()
        self.drop_rate = drop_rate

    def forward(self, x, scores):
        return x * scores.ge(self.drop_rate)
