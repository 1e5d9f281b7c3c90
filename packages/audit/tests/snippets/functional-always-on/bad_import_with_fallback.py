try:
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError:
    F = None

    class nn:
        Module = object


class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5)  #! functional-always-on


try:
    from torch.nn.functional import dropout
except (ImportError, AttributeError):

    def dropout(x, p):
        return x


class Head(nn.Module):
    def forward(self, x):
        return dropout(x, 0.5)  #! functional-always-on


try:
    from torch.nn.functional import dropout2d
except ModuleNotFoundError:
    dropout2d = print


class Channels(nn.Module):
    def forward(self, x):
        return dropout2d(x, 0.5)  #! functional-always-on
