import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, size, n):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(size, size, 3) for _ in range(n)])
        self.mixed = nn.ModuleList([nn.Conv1d(size, size, 3), nn.Conv2d(size, size, 3)])
        self.drop = nn.Dropout2d(0.5)

    def forward(self, x):
        for conv in self.convs:
            x = self.drop(F.relu(conv(x)))
        for conv in self.mixed:
            x = self.drop(conv(x))
        return self.drop(F.max_pool2d(x, 2))
