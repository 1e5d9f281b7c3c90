"""The models of `dropout.ipynb`: torch's, a teaching version, and the shortest correct one."""

import torch
from torch import nn


class JustDropoutModel(nn.Module):
    """`torch.nn.Dropout` and nothing else."""

    def __init__(self, dropout_prob):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout_prob, inplace=False)

    def forward(self, x):
        return self.dropout(x)


class JustDropoutModelImpl(nn.Module):
    """Dropout as it is often taught. It looks right; the notebook shows where it is not."""

    def __init__(self, dropout_prob):
        super().__init__()
        self.dropout_prob = dropout_prob

    def forward(self, x):
        return self.dropout(x, self.dropout_prob)

    def dropout(self, x, dropout_prob):
        if self.training:
            mask = (torch.rand(x.shape) > dropout_prob).float()
            x = x * mask / (1.0 - dropout_prob)
        return x


class SimpleDropout(nn.Module):
    """The shortest version that passes every check of the verifier."""

    def __init__(self, p=0.5):
        super().__init__()
        if not (isinstance(p, (int, float)) and 0 <= p <= 1):
            raise ValueError(f"Expected `p` in [0, 1], got p={p!r} ({type(p).__name__})")
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        dropped = torch.rand(x.shape, device=x.device) < self.p
        # At p=1 everything is dropped and there is nothing to scale. A fill, not a product with the
        # mask: infinity times zero is NaN.
        return (x / (1 - self.p or 1)).masked_fill_(dropped, 0)
