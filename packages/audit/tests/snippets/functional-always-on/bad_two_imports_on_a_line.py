import torch.nn as nn  # noqa: E401
import torch.nn.functional as F


class Net(nn.Module):
    def forward(self, x):
        return F.dropout1d(x, 0.1)  #! functional-always-on
