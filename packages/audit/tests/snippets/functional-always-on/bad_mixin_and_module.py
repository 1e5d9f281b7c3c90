from abc import ABC
from typing import Generic, TypeVar

import torch.nn.functional as F
from torch import nn

T = TypeVar("T")


class Net(ABC, nn.Module, Generic[T]):
    def forward(self, x):
        return F.dropout(x, self.p)  #! functional-always-on
