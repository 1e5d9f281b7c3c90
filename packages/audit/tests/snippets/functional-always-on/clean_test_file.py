#! path: tests/test_layers.py
import torch
import torch.nn.functional as F


def test_rate():
    # A test of dropout itself wants it on.
    y = F.dropout(torch.ones(1000), 0.5)
    assert (y == 0).float().mean() < 0.6
