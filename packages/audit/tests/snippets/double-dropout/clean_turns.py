import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(size, size) for _ in range(3)])
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = self.drop(x)
        for layer in self.layers:
            x = F.relu(layer(x))
            x = self.drop(x)
        return x
