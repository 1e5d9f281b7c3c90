import pytest
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    @torch.no_grad()
    def sample(self, x):
        return F.dropout(F.relu(x), 0.5, self.training, inplace=True)

    def forward(self, x):
        with torch.inference_mode():
            x = F.dropout(F.relu(x), 0.5, self.training, inplace=True)
        return x


def check():
    with pytest.raises(RuntimeError):
        nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.5, True), nn.Linear(8, 8))
