from torch import nn
from torch.nn.functional import dropout


def dropout(x, p):  # noqa: F811
    return x


class Net(nn.Module):
    def forward(self, x):
        return dropout(x, 0.5)
