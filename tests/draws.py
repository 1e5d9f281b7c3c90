"""What tests of calls share: values that are the same in every run, what is drawn, and kept."""

import contextlib
from collections.abc import Iterator

import pytest
import torch


def randn(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype)


@contextlib.contextmanager
def draws_nothing(generator=torch.default_generator):
    before = generator.get_state()
    try:
        yield
    finally:
        assert torch.equal(generator.get_state(), before)


@contextlib.contextmanager
def refused(error, words=None):
    with pytest.raises(error, match=words) as raised, draws_nothing():
        yield raised


def identical(found, expected):
    """Asserts that two sequences of tensors have equal elements, and as many tensors."""
    torch.testing.assert_close(list(found), list(expected), rtol=0, atol=0)


@contextlib.contextmanager
def kept() -> Iterator[list[torch.Tensor]]:
    """The tensors that autograd keeps for the backward of what is called inside."""
    found: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        found.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield found


@contextlib.contextmanager
def threads(count):
    """As many threads of torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
