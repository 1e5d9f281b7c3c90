import torch.nn.functional as F
from torch import nn

from .layers import relu


class ReLU(nn.Module):
    def forward(self, x):
        return x.clamp(0)


class Net(nn.Module):
    def __init__(self, inplace, act):
        super().__init__()
        self.own = nn.Sequential(nn.Linear(8, 8), ReLU(), nn.Dropout(0.1, inplace=True), nn.Linear(8, 8))
        self.given = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.1, inplace), nn.Linear(8, 8))
        self.act = act
        self.drop = nn.Dropout(0.1, inplace=True)

    def forward(self, x, y):
        x = self.drop(relu(x))
        x = self.drop(self.act(x))
        x = F.relu(x)
        # A copy: what relu keeps is left as it is.
        x = self.drop(x.clone())
        x = F.relu(x)
        x = x + y
        return self.drop(x)
