import torch

import torchdropout as td
from torchdropout import functional as F


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.noise = td.nn.GaussianNoise(2.0)
        self.pattern = td.nn.NMDropout(2, 4)
        self.none = td.nn.GaussianNoise(0)

    def forward(self, x):
        x = F.gaussian_noise(self.none(x), 2.0, self.training)
        x = F.drop_path(x, 0.1, self.training)
        x = F.concrete_dropout(x, torch.tensor(-2.0), training=self.training)
        return self.pattern(self.noise(x))
