"""tsai's dropouts, alone: the package needs fastai and its dependencies."""

from alone import alone

DropPath = alone("tsai", "tsai/models/layers.py", "DropPath")
FullEmbeddingDropout = alone("tsai", "tsai/models/TabTransformer.py", "FullEmbeddingDropout")
