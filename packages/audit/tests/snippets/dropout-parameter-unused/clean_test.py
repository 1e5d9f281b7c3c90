#! path: tests/test_model.py
import torch
from torch import nn


class Fake(nn.Module):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.linear = nn.Linear(dim, dim)
