"""Dropout in torch that is not a call of `nn.Dropout`, as targets of the verifier."""

import torch
from torch import nn


class MonteCarloEncoder(nn.Module):
    """A transformer layer as Monte Carlo dropout uses it: in eval, its dropouts in training."""

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=p, batch_first=True)

    def forward(self, x):
        self.layer.eval()
        for module in self.layer.modules():
            if isinstance(module, nn.Dropout):
                module.train(self.training)
        tokens = nn.functional.pad(x.reshape(-1), (0, -x.numel() % 32)).reshape(1, -1, 32)
        return self.layer(tokens).reshape(-1)[: x.numel()].reshape(x.shape)


@torch.compile
def _compiled(x, p, training):
    return nn.functional.dropout(x, p, training)


def compiled(x, p, training):
    """`F.dropout` as inductor compiles it, a program for each p."""
    # Each p is a program of its own, and dynamo gives up after eight.
    torch._dynamo.config.recompile_limit = 256
    return _compiled(x, p, training)
