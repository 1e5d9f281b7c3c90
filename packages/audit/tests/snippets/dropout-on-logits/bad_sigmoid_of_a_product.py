import torch
import torch.nn.functional as F
from torch import nn


class Readout(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.left = nn.Linear(size, 1)
        self.right = nn.Linear(size, 1)
        self.drop = nn.Dropout(0.2)

    def forward(self, x, y):
        scored = self.left(F.relu(x)) * self.right(F.relu(y))
        scored = self.drop(scored)  #! dropout-on-logits advice
        return torch.sigmoid(torch.flatten(scored))
