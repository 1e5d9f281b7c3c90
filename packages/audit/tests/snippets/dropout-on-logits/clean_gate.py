import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.fc = nn.Linear(size, size)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        gate = self.drop(self.fc(x))
        gate = torch.sigmoid(gate)
        return x * gate
