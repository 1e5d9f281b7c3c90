import torch
import torch.nn.functional as F
from torch import nn


class A(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.drop = nn.Dropout(rate=rate)  #! dropout-wrong-arguments

    def forward(self, x):
        return self.drop(x)
