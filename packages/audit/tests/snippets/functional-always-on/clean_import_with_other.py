try:
    from torch.nn.functional import dropout
except RuntimeError:  # it may be the file's own
    from ours import own as dropout

from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return dropout(x, 0.5)
