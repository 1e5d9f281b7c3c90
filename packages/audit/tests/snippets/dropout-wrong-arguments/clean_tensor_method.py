import torch
import torch.nn.functional as F
from torch import nn


class Net:
    def dropout(self, x, training):
        return x


def f(net, x, t):
    return net.dropout(x, training=t)
