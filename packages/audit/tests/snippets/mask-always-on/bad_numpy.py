import torch
import torch.nn.functional as F
from torch import nn


import numpy as np


class Noise(nn.Module):
    def __init__(self, drop_prob=0.1):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        mask = torch.as_tensor(np.random.binomial(1, 1 - self.drop_prob, x.shape))
        kept = np.random.binomial(1, 1 - self.drop_prob, 8) * x.numpy()  #! mask-always-on
        return mask, torch.from_numpy(kept) / (1 - self.drop_prob)
