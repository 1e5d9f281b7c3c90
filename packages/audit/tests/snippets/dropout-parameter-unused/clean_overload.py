import torch
import torch.nn.functional as F
from torch import nn


from typing import overload


@overload
def attend(q: torch.Tensor, dropout: float = ...) -> torch.Tensor: ...
@overload
def attend(q: list, dropout: float = ...) -> list: ...
def attend(q, dropout=0.0):
    return F.dropout(q, dropout, training=q.requires_grad)
