from dataclasses import dataclass

import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    width: int = 8
    dropout: float = 1.5


class Percent(nn.Module):
    def __init__(self, dim, dropout=10):
        super().__init__()
        self.drop = nn.Dropout(dropout)  #! p-out-of-range advice


class Stored(nn.Module):
    def __init__(self, dropout=20):
        super().__init__()
        self.dropout = dropout

    def forward(self, x):
        return F.dropout(x, self.dropout, self.training)  #! p-out-of-range advice


class Options(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.drop = nn.Dropout(config.dropout)  #! p-out-of-range advice


class Built(nn.Module):
    def __init__(self, c=Config()):
        super().__init__()
        self.drop = nn.Dropout(c.dropout)  #! p-out-of-range advice
