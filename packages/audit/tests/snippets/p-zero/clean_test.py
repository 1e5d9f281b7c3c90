#! path: tests/test_edges.py
import torch
from torch import nn


def test_identity():
    assert (nn.Dropout(0.0)(torch.ones(8)) == 1).all()
