#! path: package/layers_test.py
import torch
import torch.nn.functional as F


def test_keeps():
    assert (F.dropout(torch.ones(100), 0.5, training=False) == 1).all()
