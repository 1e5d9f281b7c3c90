import torch
import torch.nn.functional as F
from torch import nn


def build(dim, dropout=0.1):
    def layer(index):
        return nn.Sequential(nn.Linear(dim, dim), nn.Dropout(dropout * index))

    return nn.ModuleList(layer(index) for index in range(4))
