import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        match self.backend:
            case F:
                return F.dropout(x, 0.1)
