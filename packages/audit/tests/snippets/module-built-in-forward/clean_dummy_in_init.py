import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        x = nn.Dropout(p)(torch.zeros(1, 8))
        self.fc = nn.Linear(x.numel(), 1)

    def forward(self, x):
        return self.fc(x)
