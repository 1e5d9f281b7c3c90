"""The compiled backends against the reference, in random calls of the operators that draw."""

import itertools

import pytest
import torch

from draws import threads
from oracle import DTYPES, FLOATS, same_bits
from random_calls import Cases
from torchdropout import Key, backends
from torchdropout import functional as F
from torchdropout._core.contract.noise import Law
from torchdropout._core.contract.seed import as_int64

COMPILED = backends.available()[1:]
operators = torch.ops.torchdropout
pytestmark = pytest.mark.skipif(not COMPILED, reason=f"needs compiled kernels: {backends.why()}")


def of_mask(case, _):
    """By the operator, and by the function where it can say the same."""
    numbers = case.p, *case.affine, as_int64(case.base), case.strides
    calls = [lambda: operators.masked_affine(case.x, case.key, *numbers)]
    layout = case.layout()
    if layout is not None:
        seed, stream = case.key.tolist()
        key = Key(seed % 2**64, stream)
        calls.append(lambda: F.dropout(case.x, case.p, key=key, layout=layout))
    return calls


def of_noise(case, pick):
    factor, addend = (pick.choice((0.0, 1.0, pick.uniform(-2, 2))) for _ in range(2))
    numbers = pick.choice(list(Law)), factor, addend, as_int64(case.base), case.strides
    return [lambda: operators.noise_affine(case.x, case.key, *numbers)]


KINDS = {"mask": (of_mask, DTYPES), "noise": (of_noise, FLOATS)}


def compare(kind, seed, count):
    """With one thread or two; returns how many elements, and how many calls of the function."""
    calls_of, dtypes = KINDS[kind]
    source, elements, by_function = Cases(seed, dtypes), 0, 0
    for _ in range(count):
        case = next(source)
        calls = calls_of(case, source.random)
        with backends.use("reference"):
            expected = calls[0]()
        for backend, call in itertools.product(COMPILED, calls):
            with backends.use(backend), threads(seed % 2 + 1):
                y = call()
            assert same_bits(y, expected), (backend, case)
            assert y.stride() == expected.stride()
        elements += case.x.numel()
        by_function += len(calls) - 1
    return elements, by_function


@pytest.mark.integration
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("kind", "count", "least"), [("mask", 500, 80), ("noise", 250, 0)])
def test_equals_the_reference(kind, count, least, seed):
    elements, by_function = compare(kind, seed, count)
    assert elements > 4 * 10**4
    assert by_function >= least


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_reference_100_000_times(kind, seed):
    compare(kind, seed, 5000)
