from torch import nn


def dropout(x, p):
    return x * (1 - p)


class Net(nn.Module):
    def forward(self, x):
        return dropout(x, 0.5)
