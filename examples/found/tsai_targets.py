"""tsai's dropouts, alone: the package needs fastai and what that needs."""

from alone import alone

DropPath = alone("tsai", "tsai/models/layers.py", "DropPath")
FullEmbeddingDropout = alone("tsai", "tsai/models/TabTransformer.py", "FullEmbeddingDropout")
