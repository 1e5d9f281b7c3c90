import torch
import torch.nn.functional as F
from torch import nn


class Decoder(nn.Module):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.drop = nn.Dropout(dropout)

    def update_dropout(self, dropout, attention_dropout=None):
        self.drop.p = dropout

    def forward(self, x):
        return self.drop(x)
