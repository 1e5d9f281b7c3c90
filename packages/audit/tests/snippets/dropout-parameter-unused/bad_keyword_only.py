import torch
import torch.nn.functional as F
from torch import nn


class ViT(nn.Module):
    def __init__(self, *, dim, depth, heads, dropout=0.0, emb_dropout=0.0):  #! dropout-parameter-unused advice
        super().__init__()
        layer = nn.TransformerEncoderLayer(dim, heads, dropout=dropout)
        self.encoder = nn.TransformerEncoder(layer, depth)

    def forward(self, x):
        return self.encoder(x)
