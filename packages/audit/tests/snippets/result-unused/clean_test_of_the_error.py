#! path: tests/test_errors.py
import pytest
import torch
import torch.nn.functional as F


def test_refuses():
    with pytest.raises(ValueError):
        F.dropout(torch.ones(8), 1.5)
