import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        if not self.training:
            raise RuntimeError("this block is for training")
        return F.dropout(x, 0.5)
