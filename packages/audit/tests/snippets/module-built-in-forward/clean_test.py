#! path: tests/test_dropout.py
import torch
from torch import nn


def test_dropout():
    assert nn.Dropout(0.5)(torch.ones(8)).shape == (8,)
