#! path: tests/test_dropout.py
import pytest
from torch import nn


def test_refuses():
    with pytest.raises(ValueError):
        nn.Dropout(1.5)
