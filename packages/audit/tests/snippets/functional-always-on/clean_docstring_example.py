from torch import nn


class Net(nn.Module):
    """A net.

    Example:
        >>> import torch.nn.functional as F
        >>> F.dropout(x, 0.5)
    """

    def forward(self, x):
        return x
