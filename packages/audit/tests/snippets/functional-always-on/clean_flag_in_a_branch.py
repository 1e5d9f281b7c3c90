import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    # The caller gives the flag, with the input.
    def __init__(self, mode):
        super().__init__()
        if mode not in ("classification", "regression"):
            raise ValueError(mode)
        self.mode = mode
        self.fc = nn.Linear(8, 8)

    def forward(self, inputs):
        if isinstance(inputs, torch.Tensor):
            x, switch = inputs, None
        else:
            x, switch = inputs
        x = self.fc(x)
        if switch:
            x = F.dropout(x, 0.1)
        return x
