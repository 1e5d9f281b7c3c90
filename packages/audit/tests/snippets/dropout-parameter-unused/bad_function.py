import torch
import torch.nn.functional as F
from torch import nn


def linear(in_features, out_features, bias=True, dropout=0.0):  #! dropout-parameter-unused advice
    layer = nn.Linear(in_features, out_features, bias=bias)
    layer.weight.data.uniform_(-0.1, 0.1)
    return layer
