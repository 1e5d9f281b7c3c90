from colossalai import nn as col_nn
from torch import nn


class MlpBlock(nn.Module):
    def __init__(self, dim, hidden, dropout=0.1):
        super().__init__()
        self.up = col_nn.Linear(dim, hidden)
        self.dropout = col_nn.Dropout(dropout)  #! dropout-never-used advice
        self.down = col_nn.Linear(hidden, dim)

    def forward(self, x):
        return self.down(self.up(x))
