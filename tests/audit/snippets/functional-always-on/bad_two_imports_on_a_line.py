import torch.nn as nn, torch.nn.functional as F  # noqa: E401


class Net(nn.Module):
    def forward(self, x):
        return F.dropout1d(x, 0.1)  #! functional-always-on
