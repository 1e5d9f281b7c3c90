"""Models for the command line."""

import torch
import torch.nn.functional as F
from torch import nn


class Alive(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 64)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        return F.dropout(self.drop(self.fc(x)), 0.5)


def alive():
    return Alive(), (torch.ones(4, 64),)


def named():
    return Alive(), (), {"x": torch.ones(4, 64)}


def bare():
    print("printed by the factory")
    return Alive()


class Never(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return x


def never():
    return Never(), (torch.ones(4),)


def no_model():
    return 3


def broken():
    raise RuntimeError("no weights")
