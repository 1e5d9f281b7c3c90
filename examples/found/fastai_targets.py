"""fastai's `EmbeddingDropout` as a target of the verifier: a dropout of the rows of a weight."""

import torch
from fastai.text.models.awdlstm import EmbeddingDropout
from torch import nn


class Embedding(nn.Module):
    """The weight is x, an element a row, and the words are all words."""

    scale = None

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.dropout = EmbeddingDropout(nn.Embedding(1, 1), p)
        del self.dropout.emb.weight

    def forward(self, x):
        self.dropout.emb.weight = x.reshape(-1, 1)
        y = self.dropout(torch.arange(x.numel(), device=x.device), scale=self.scale).reshape(
            x.shape
        )
        return y if self.scale is None else y / self.scale


class ScaledEmbedding(Embedding):
    """The same with `scale=`, which is divided out again."""

    scale = 2.0
