"""A call that finds no memory for its result leaves the generator as it was."""

import pytest
import torch

from torchdropout import functional as F
from torchdropout.functional.embedding_dropout import drop_rows

# A tensor of one number whose copy no machine has the memory for: its bytes exceed the addresses.
HUGE = torch.ones(1).expand(2**46)
ROWS = torch.ones(1, 1).expand(2, 2**46)
MAP = torch.ones(1, 1, 1).expand(1, 1, 2**46)
WORDS = torch.zeros(1, dtype=torch.int64).expand(2**46)

CALLS = {
    "dropout": lambda **source: F.dropout(HUGE, **source),
    "dropout, rates": lambda **source: F.dropout(ROWS, torch.tensor([[0.1], [0.2]]), **source),
    "dropout, shared": lambda **source: F.dropout(ROWS, broadcast_dims=(0,), **source),
    "drop_connect": lambda **source: F.drop_connect(HUGE, **source),
    "alpha_dropout": lambda **source: F.alpha_dropout(HUGE, training=True, **source),
    "feature_alpha_dropout": lambda **source: F.feature_alpha_dropout(MAP, training=True, **source),
    "dropout1d": lambda **source: F.dropout1d(MAP, **source),
    "drop_path": lambda **source: F.drop_path(ROWS, 0.5, training=True, **source),
    "locked_dropout": lambda **source: F.locked_dropout(MAP, 0.5, **source),
    "drop_block1d": lambda **source: F.drop_block1d(MAP, 0.1, 3, **source),
    "gaussian_dropout": lambda **source: F.gaussian_dropout(HUGE, **source),
    "feature_gaussian_dropout": lambda **source: F.feature_gaussian_dropout(ROWS, 0.5, **source),
    "gaussian_noise": lambda **source: F.gaussian_noise(HUGE, 0.5, **source),
    "uniform_dropout": lambda **source: F.uniform_dropout(HUGE, 0.5, **source),
    "variational_dropout": lambda **source: F.variational_dropout(
        HUGE, torch.tensor(-1.0), **source
    ),
    "concrete_dropout": lambda **source: F.concrete_dropout(HUGE, torch.tensor(-1.0), **source),
    "zoneout": lambda **source: F.zoneout(HUGE, HUGE, 0.5, **source),
    "multi_sample_dropout": lambda **source: F.multi_sample_dropout(HUGE, 0.5, 2, **source),
    "dropout_add": lambda **source: F.dropout_add(HUGE, HUGE, 0.5, **source),
    "dropout_add, bias": lambda **source: F.dropout_add(
        ROWS.T, ROWS.T, 0.5, bias=torch.ones(2), **source
    ),
    "drop_rows": lambda **source: drop_rows(HUGE[:, None], WORDS, 2, 0.5, True, **source),
    "token_dropout": lambda **source: F.token_dropout(
        torch.ones(1, 1, 1).expand(2, 3, 2**46), 0.5, **source
    ),
    "n_m_dropout": lambda **source: F.n_m_dropout(HUGE, 2, 4, **source),
    "column_dropout": lambda **source: F.column_dropout(ROWS, 0.5, dim=0, **source),
    "attention": lambda **source: F.scaled_dot_product_attention(
        *[torch.ones(1, 1).expand(2**23, 1)] * 2,
        torch.ones(1, 1).expand(2**23, 2**23),
        dropout_p=0.5,
        **source,
    ),
    "keep_mask": lambda **source: F.keep_mask((2**46,), 0.5, **source),
}
SOURCES = {"default": dict, "generator": lambda: {"generator": torch.Generator()}}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", CALLS)
def test_without_memory_nothing_is_drawn(name, source):
    given = SOURCES[source]()
    generator = given.get("generator", torch.default_generator)
    before = generator.get_state()
    with pytest.raises(RuntimeError, match=r"memory|alloc|storage"):
        CALLS[name](**given)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("call", [F.dropout, F.gaussian_dropout, lambda x: F.dropout_add(x, x)])
def test_without_memory_nothing_is_drawn_where_a_gradient_is_wanted(call):
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="memory"):
        call(torch.ones(1, requires_grad=True).expand(2**46))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("call", [F.dropout, F.gaussian_dropout])
def test_the_operator_says_too_that_there_is_no_memory(call):
    """Who divides a batch on this error reads it in the message."""
    with pytest.raises(RuntimeError, match="memory"):
        torch.func.vmap(call, randomness="same")(HUGE[None])
