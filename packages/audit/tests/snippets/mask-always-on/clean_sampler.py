import torch
import torch.nn.functional as F
from torch import nn


class Sampler(nn.Module):
    def __init__(self, temperature=1.0):
        super().__init__()
        self.temperature = temperature

    def forward(self, logits, values):
        chosen = torch.bernoulli(torch.sigmoid(logits / self.temperature))
        return values * chosen
