import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        run = lambda F: F.dropout(x, 0.1)  # noqa: E731
        return F.relu(run(self.backend))
