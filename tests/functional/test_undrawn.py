"""A call that finds no memory for its result leaves the generator as it was."""

import pytest
import torch

from draws import draws_nothing, refused
from torchdropout import functional as F
from torchdropout.functional.embedding_dropout import drop_rows

# A tensor of one number whose copy no machine has the memory for: its bytes exceed the addresses.
HUGE = torch.ones(1).expand(2**46)
ROWS = torch.ones(1, 1).expand(2, 2**46)
WORDS = torch.zeros(1, dtype=torch.int64).expand(2**46)

# Those of one tensor are in test_every_function.py.
CALLS = {
    "dropout, rates": lambda **source: F.dropout(ROWS, torch.tensor([[0.1], [0.2]]), **source),
    "dropout, shared": lambda **source: F.dropout(ROWS, broadcast_dims=(0,), **source),
    "dropout_add, no bias": lambda **source: F.dropout_add(HUGE, HUGE, 0.5, **source),
    "drop_rows": lambda **source: drop_rows(HUGE[:, None], WORDS, 2, 0.5, True, **source),
    "attention": lambda **source: F.scaled_dot_product_attention(
        *[torch.ones(1, 1).expand(2**23, 1)] * 2,
        torch.ones(1, 1).expand(2**23, 2**23),
        dropout_p=0.5,
        **source,
    ),
    "keep_mask": lambda **source: F.keep_mask((2**46,), 0.5, **source),
}


@pytest.mark.parametrize("name", CALLS)
def test_without_memory_nothing_is_drawn(name):
    generator = torch.Generator()
    for given in ({}, {"generator": generator}):
        with draws_nothing(generator), refused(RuntimeError, r"memory|alloc|storage"):
            CALLS[name](**given)


@pytest.mark.parametrize("call", [F.dropout, F.gaussian_dropout, lambda x: F.dropout_add(x, x)])
def test_without_memory_nothing_is_drawn_where_a_gradient_is_wanted(call):
    with refused(RuntimeError, "memory"):
        call(torch.ones(1, requires_grad=True).expand(2**46))


@pytest.mark.parametrize("call", [F.dropout, F.gaussian_dropout])
def test_the_operator_says_too_that_there_is_no_memory(call):
    """Who divides a batch on this error reads it in the message."""
    with pytest.raises(RuntimeError, match="memory"):
        torch.func.vmap(call, randomness="same")(HUGE[None])
