import torch
from torch import nn


class Cell(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.of_input = nn.Linear(size, size)
        self.of_state = nn.Linear(size, size)
        self.drop = nn.Dropout(0.2)

    def forward(self, x, h):
        # The gate is a part of the cell, whose output is another value.
        gate = torch.sigmoid(self.drop(self.of_input(x) + self.of_state(h)))
        return gate * h + (1 - gate) * x
