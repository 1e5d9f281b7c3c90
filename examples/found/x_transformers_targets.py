"""x-transformers' dropouts of tokens and of layers as targets of the verifier."""

from torch import nn
from x_transformers import Encoder
from x_transformers.x_transformers import dropout_seq


class Tokens(nn.Module):
    """`dropout_seq` takes tokens out of a sequence."""

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return dropout_seq(x, None, self.p)[0] if self.training else x


class Layers(nn.Module):
    """`layer_dropout` leaves a layer out with probability p."""

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.encoder = Encoder(dim=8, depth=1, heads=1, attn_dim_head=8, layer_dropout=p)

    def forward(self, x):
        tokens = nn.functional.pad(x.reshape(-1), (0, -x.numel() % 8)).reshape(1, -1, 8)
        return self.encoder(tokens).reshape(-1)[: x.numel()].reshape(x.shape)
