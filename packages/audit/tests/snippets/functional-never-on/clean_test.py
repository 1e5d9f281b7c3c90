#! path: tests/test_alpha.py
import torch
import torch.nn.functional as F


def test_identity():
    x = torch.ones(3)
    assert F.alpha_dropout(x, 0.5) is not None
