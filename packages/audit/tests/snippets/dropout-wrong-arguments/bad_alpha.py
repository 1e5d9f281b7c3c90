import torch
import torch.nn.functional as F
from torch import nn


def f(x, t):
    return torch.alpha_dropout(x, p=0.1, training=t)  #! dropout-wrong-arguments
