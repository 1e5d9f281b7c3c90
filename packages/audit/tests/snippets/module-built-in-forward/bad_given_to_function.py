import torch
from torch import nn


def attend(q, k, v, dropout=None):
    weights = torch.softmax(q @ k.transpose(-2, -1), dim=-1)
    if dropout is not None:
        weights = dropout(weights)
    return weights @ v


class Attention(nn.Module):
    def forward(self, q, k, v):
        y = attend(q, k, v, nn.Dropout(0.1))  #! module-built-in-forward
        return attend(y, k, v, dropout=nn.Dropout(0.1))  #! module-built-in-forward
