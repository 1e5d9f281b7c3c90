"""Operators with arguments that do not fit: an error or the right result, and nothing else."""

import subprocess
import sys

import pytest
import torch

import operator_calls
from torchdropout._core import direct

_C = direct._C
NAMES = sorted(operator_calls.operators())


def wrong(*options):
    """The calls that were wrong, made in a process of their own."""
    command = [sys.executable, operator_calls.__file__, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if lines[-1:] != ["done"]:
        return f"{lines[-1:]} ended with {done.returncode}: {done.stderr[-2000:]}"
    return [(lines[i - 1], line) for i, line in enumerate(lines) if line.startswith("  WRONG")]


def test_each_operator_has_a_call():
    assert sorted(operator_calls.VALID) == NAMES


@pytest.mark.integration
def test_a_few_wrong_arguments_of_each_operator():
    assert wrong("--quick") == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_wrong_argument(name):
    assert wrong(name) == []


# --- Calls that returned memory that nothing had written, or ended the interpreter ----------------

X, KEY = torch.randn(2, 3, 4), torch.tensor([1, 2])
STRIDES = [12, 4, 1]
ON_META = {
    "a key": lambda o: o.masked_affine(X, KEY.to("meta"), 0.5, 2.0, 0.0, 0.0, 0, STRIDES),
    "a key of noise": lambda o: o.noise_affine(X, KEY.to("meta"), 2, 0.5, 0.0, 0, STRIDES),
    "a key of a choice": lambda o: o.choose(KEY.to("meta"), [8], 3, True, 0, [1], X.device),
    "a bias": lambda o: o.dropout_add(X, KEY, X, X[0, 0].to("meta"), 0.5, 2.0, 0, STRIDES),
    "constants": lambda o: o.scale_of(X, torch.ones(2, dtype=torch.float64, device="meta")),
    "rates": lambda o: o.masked_affine.rates(X, KEY, X.to("meta"), True, True, 0, STRIDES),
}


@pytest.mark.parametrize("what", ON_META)
def test_a_tensor_on_meta_is_refused(what):
    with pytest.raises(ValueError, match="Expected"):
        ON_META[what](torch.ops.torchdropout)


def test_dims_of_none_and_too_many():
    for dims in (0, -1, 4, 2**62):
        with pytest.raises(ValueError, match="`dims` to be in"):
            torch.ops.torchdropout.drop_blocks(X, KEY, dims, 2, False, 0.1, 1.0, 0.0, 0, [15, 5, 1])


def test_a_key_without_memory():
    key = KEY.clone()
    key.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match="have memory"):
        torch.ops.torchdropout.masked_affine(X, key, 0.5, 2.0, 0.0, 0.0, 0, STRIDES)


@pytest.mark.parametrize("name", ["noise_affine", "masked_affine"])
def test_a_stream_beyond_60_bits_counts_by_its_lowest(name):
    numbers = (2, 0.5, 0.0) if name == "noise_affine" else (0.5, 2.0, 0.0, 0.0)
    operators = torch.ops.torchdropout
    key = torch.tensor([3, 2**60 - 1])
    for form in (getattr(operators, name), getattr(operators, f"{name}_reference")):
        expected = form(X, key, *numbers, 0, STRIDES)
        assert torch.equal(form(X, torch.tensor([3, -1]), *numbers, 0, STRIDES), expected)
        many = form(X, torch.tensor([[3, -1], [3, -1]]), *numbers, 0, [4, 1])
        assert torch.equal(many, form(X, key.repeat(2, 1), *numbers, 0, [4, 1]))


CALL = (False, 1, 0, 0, None, (0.5, 2.0, 0.0, 0.0))
NOISE = (True, 1, 0, 0, None, (2, 0.5, 0.0))
SHORT, Z = torch.zeros(3), torch.zeros(3, dtype=torch.complex64)
NONE = None, None
PRIVATE = {
    "affine of a short y": lambda: _C.write(X, SHORT, CALL),
    "affine of another type": lambda: _C.write(X, X.to(torch.complex64), CALL),
    "affine of two widths": lambda: _C.write(X, X.double(), CALL),
    "add of a short residual": lambda: _C.add(X, SHORT, None, X.clone(), CALL),
    "add of a short y": lambda: _C.add(X, X, None, SHORT, CALL),
    "add of a short bias": lambda: _C.add(X, X, SHORT, X.clone(), CALL),
    "add of a wide bias": lambda: _C.add(X, X, torch.zeros(4).double(), X.clone(), CALL),
    "sums of a short y": lambda: _C.sums(X, SHORT, torch.zeros(4), CALL),
    "sums of too many": lambda: _C.sums(X, X.clone(), torch.zeros(5), CALL),
    "sums of no column": lambda: _C.sums(X, X.clone(), torch.zeros(0), CALL),
    "noise of a short y": lambda: _C.write(X, SHORT, NOISE),
    "groups of 0": lambda: _C.counted(X, 1, 0, 4, 0, 0, 0, 1.0),
    "groups of 65": lambda: _C.counted(torch.ones(65), 1, 0, 4, 0, 65, 1, 1.0),
    "groups that are not whole": lambda: _C.counted(X, 1, 0, 4, 0, 7, 2, 1.0),
    "places that are float": lambda: _C.choose(X, 1, 0, 4, 0, 8, True),
    "more places than there are": lambda: _C.choose(torch.zeros(9).long(), 1, 0, 4, 0, 8, True),
    "places of none": lambda: _C.choose(torch.zeros(1).long(), 1, 0, 4, 0, 0, True),
    "a rate of NaN": lambda: _C.drop_blocks(X, 1, 0, float("nan"), 0, [15, 5, 1], 1, 2, 1.0),
    "noise of complex numbers": lambda: _C.write(Z, Z.clone(), NOISE),
    "constants of noise for a mask": lambda: _C.write(X, X.clone(), (*CALL[:5], NOISE[5])),
    "constants of a mask for noise": lambda: _C.write(X, X.clone(), (*NOISE[:5], CALL[5])),
    "a law of 4": lambda: _C.write(X, X.clone(), (*NOISE[:5], (4, 0.5, 0.0))),
    "dimensions that are no tuple": lambda: _C.dropout(X, 0.5, 1, True, False, *NONE, (), *NONE),
    "a call that is no tuple": lambda: _C.by_kernel(X, None, True, 1),
    "p of NaN": lambda: _C.write(X, X.clone(), (*CALL[:5], (float("nan"), 2.0, 0.0, 0.0))),
    "a name that is no text": lambda: _C.why_not(None),
    "None": lambda: _C.write(None, None, CALL),
}


@pytest.mark.skipif(_C is None, reason="there are no compiled kernels")
@pytest.mark.parametrize("what", PRIVATE)
def test_the_compiled_functions_raise(what):
    with pytest.raises((TypeError, ValueError), match="expected"):
        PRIVATE[what]()


@pytest.mark.skipif(_C is None, reason="there are no compiled kernels")
def test_compiled_blocks_of_dimensions_that_no_kernel_takes():
    deep = torch.ones([2] * 10)
    for dims, block in ((0, 2), (9, 2), (11, 2), (1, 0), (1, 3)):
        strides = [2**d for d in reversed(range(10))]
        y = _C.drop_blocks(deep, 1, 0, 0.5, 0, strides, dims, block, 1.0)
        assert y is NotImplemented
