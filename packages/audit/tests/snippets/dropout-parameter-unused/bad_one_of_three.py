import torch
import torch.nn.functional as F
from torch import nn


class AxialLayer(nn.Module):
    def __init__(
        self,
        dim: int,
        heads: int,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,  #! dropout-parameter-unused advice
        activation_dropout: float = 0.1,
    ):
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, heads, dropout=dropout)
        self.activation_drop = nn.Dropout(activation_dropout)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.drop(self.attention(x, x, x)[0])
        return self.activation_drop(F.relu(x))
