import torch
import torch.nn.functional as F
from torch import nn


class MLP(nn.Module):
    def __init__(self, dim, hidden, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, dim)
        )

    def forward(self, x):
        return self.net(x)
