import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, size, n):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv1d(size, size, 3) for _ in range(n)])
        self.drop = nn.Dropout2d(0.5)

    def forward(self, x):
        for conv in self.convs:
            x = self.drop(F.relu(conv(x)))  #! feature-dropout-rank advice
        return self.drop(F.max_pool1d(x, 2))  #! feature-dropout-rank advice
