import torch
import torch.nn.functional as F
from torch import nn


def drop_path(x, drop_prob):
    keep_prob = 1.0 - drop_prob
    mask = torch.floor(torch.rand(x.shape[0], 1, 1, 1, device=x.device) + keep_prob)
    return x / keep_prob * mask


def train_step(model, x):
    return model(drop_path(x, 0.1))


def augment(x):
    return drop_path(x, 0.1)
