import torch
import torch.nn.functional as F
from torch import nn


from .names import also_named


@also_named("drop_prob")
class DropPath(nn.Module):
    def __init__(self, p=0.0, *, drop_prob=None):
        super().__init__()
        self.p = p


class Other(nn.Module):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        self.options = read_arguments("dropout")
