import torch
import torch.nn.functional as F
from torch import nn


class A(nn.Module):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.config = {k: v for k, v in locals().items() if k != "self"}
        self.linear = nn.Linear(dim, dim)
