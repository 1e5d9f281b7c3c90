import torch
import torch.nn.functional as F
from torch import nn


def plain(q, k, v, scale, dropout):
    return torch.softmax(q @ k.transpose(-2, -1) * scale, -1) @ v


def dropped(q, k, v, scale, dropout):
    weights = torch.softmax(q @ k.transpose(-2, -1) * scale, -1)
    return F.dropout(weights, dropout, training=q.requires_grad) @ v


ATTENTION = {"plain": plain, "dropped": dropped}
