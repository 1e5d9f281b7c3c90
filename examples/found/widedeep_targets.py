"""pytorch-widedeep's dropout of embeddings, alone: the package needs gensim and spaCy."""

from alone import alone

FullEmbeddingDropout = alone(
    "pytorch-widedeep",
    "pytorch_widedeep/models/tabular/embeddings_layers.py",
    "FullEmbeddingDropout",
)
