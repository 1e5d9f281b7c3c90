#! path: tests/test_edges.py
import torch
from torch import nn


def test_all_zero():
    assert (nn.Dropout(1.0)(torch.ones(8)) == 0).all()
