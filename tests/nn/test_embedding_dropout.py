"""nn.EmbeddingDropout: around an embedding, with fastai's names in its state."""

import pytest
import torch

import torchdropout as td
from draws import draws_nothing
from torchdropout import functional as F
from variants import seeded

WORDS = torch.tensor([[0, 5, 1], [5, 9, 5]])


def layer(p=0.4, **kwargs):
    torch.manual_seed(0)
    return td.nn.EmbeddingDropout(torch.nn.Embedding(10, 4, **kwargs), p)


@pytest.mark.parametrize("p", [0, 0.4, 1.0])
@pytest.mark.parametrize("scale", [None, 2.0])
def test_train_is_the_function_and_eval_the_embedding(p, scale):
    module = layer(p)
    y = seeded(module, WORDS, scale)
    weight = module.emb.weight
    assert torch.equal(y, seeded(F.embedding_dropout, WORDS, weight, p, scale=scale))
    version = weight._version
    expected = module.emb(WORDS) * (scale or 1.0)
    for _ in range(2):
        with draws_nothing():
            assert torch.equal(module.eval()(WORDS, scale), expected)
    assert weight._version == version


def test_what_the_embedding_has_is_kept():
    module = layer(padding_idx=5, sparse=True)
    seeded(module, WORDS).sum().backward()
    gradient = module.emb.weight.grad
    assert gradient.is_sparse
    assert not gradient.to_dense()[5].any()
    seen = []
    module.emb.register_forward_hook(lambda *_: seen.append(True))
    torch.nn.utils.parametrize.register_parametrization(module.emb, "weight", torch.nn.Tanh())
    y = seeded(module, WORDS)
    assert seen == [True]
    assert y.abs().max() <= 1 / 0.6
