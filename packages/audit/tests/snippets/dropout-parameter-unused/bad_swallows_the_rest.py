import torch
import torch.nn.functional as F
from torch import nn


class Encoder(nn.Module):
    def __init__(self, channels, dropout=0.3, **kwargs):
        super().__init__()
        self.conv = nn.Conv2d(channels, 64, 3)
        self.drop = nn.Dropout2d(dropout)

    def forward(self, x):
        return self.drop(self.conv(x))


class Classifier(nn.Module):
    def __init__(self, channels, classes, dropout=0.3, **kwargs):  #! dropout-parameter-unused advice
        super().__init__()
        self.encoder = Encoder(channels)
        self.head = nn.Linear(64, classes)

    def forward(self, x):
        return self.head(self.encoder(x).mean((2, 3)))
