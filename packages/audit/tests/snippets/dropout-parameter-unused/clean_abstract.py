import torch
import torch.nn.functional as F
from torch import nn


from abc import ABC, abstractmethod


class Encoder(nn.Module, ABC):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.dim = dim

    @abstractmethod
    def encode(self, x): ...


class Decoder(nn.Module):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        raise NotImplementedError
