import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        assert self.training, "only for training"
        return F.dropout(x, 0.5)
