import torch
import torch.nn.functional as F
from torch import nn


import pytest


def check(x):
    with pytest.raises(TypeError):
        torch.dropout(x, 0.1)
    with pytest.raises(TypeError):
        nn.Dropout(rate=0.1)
