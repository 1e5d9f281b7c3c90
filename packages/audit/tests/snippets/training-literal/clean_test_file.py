#! path: tests/test_dropout.py
import torch
import torch.nn.functional as F


def test_drops():
    assert (F.dropout(torch.ones(100), 0.5, training=True) == 0).any()
