from torch import nn

try:
    import torch.nn.functional as F
except ImportError:
    F = None


class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1)  #! functional-always-on
