#! path: tests/test_attention.py
import torch
import torch.nn.functional as F


def test_drops():
    q = torch.randn(1, 2, 8, 16)
    assert F.scaled_dot_product_attention(q, q, q, dropout_p=0.5).shape == q.shape
