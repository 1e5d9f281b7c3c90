import torch
import torch.nn.functional as F
from torch import nn


from dataclasses import dataclass


@dataclass
class Config:
    dim: int = 8
    dropout: float = 0.1
