from dataclasses import dataclass

from torch import nn


@dataclass
class Config:
    dropout: float = 0.1
    blocks: int = 3


class Percent(nn.Module):
    def __init__(self, percent=10):
        super().__init__()
        self.drop = nn.Dropout(percent / 100)


class InPlace(nn.Module):
    def __init__(self, dropout=10):
        super().__init__()
        if dropout >= 1:
            dropout /= 100
        self.drop = nn.Dropout(dropout)


class Asked(nn.Module):
    def __init__(self, dropout=2.0, sentinel=-1.0):
        super().__init__()
        self.drop = nn.Dropout(dropout) if dropout <= 1 else nn.Identity()
        self.other = nn.Dropout(sentinel)  # who knows whether the default is ever used


class Options(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.drop = nn.Dropout(config.dropout)
