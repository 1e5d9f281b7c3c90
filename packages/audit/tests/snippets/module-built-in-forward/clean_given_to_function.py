import torch
from torch import nn


def attend(q, k, v, dropout=None):
    weights = torch.softmax(q @ k.transpose(-2, -1), dim=-1)
    return torch.dropout(weights, dropout.p, dropout.training) @ v


def in_mode(x, training, dropout):
    return dropout(x) if training else x


def stored(x, dropout, layers):
    layers.append(dropout)
    return x


class Attention(nn.Module):
    def forward(self, q, k, v, layers):
        y = attend(q, k, v, nn.Dropout(0.1).train(self.training))
        y = in_mode(y, self.training, nn.Dropout(0.1))
        return stored(y, nn.Dropout(0.1), layers)
