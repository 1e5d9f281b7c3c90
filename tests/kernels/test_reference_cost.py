"""What the reference costs: how many operators it calls, how large they are, and their memory."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from torchdropout import Key
from torchdropout.kernels import _fill, reference

GRAIN = 2**15  # from this many elements on, torch's threads share an elementwise operator
# These compute nothing; a stack copies its parts one by one, and the last writes at some indices.
NO_WORK = {"empty", "empty_like", "stack", "index_put_"}


class Operators(TorchDispatchMode):
    """Counts the operators that run, and notes the size of the largest that computes."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        y = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        self.calls += 1
        if name not in NO_WORK and not function.is_view and isinstance(y, torch.Tensor):
            self.largest = max(self.largest, y.numel())
        return y


def draw(x, p=0.1):
    return reference.masked_affine(x, Key(1).tensor(), p, 1 / (1 - p), 0.0, 0.0, 0, [1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_operator_on_the_cpu_waits_for_threads(dtype):
    """On more elements, the threads wait for one another after each of a hundred operators."""
    x = torch.ones(2**20 + 5, dtype=dtype)
    with Operators() as seen:
        draw(x)
    assert 2**10 < seen.largest < GRAIN


def test_an_accelerator_gets_few_operators_and_little_memory(monkeypatch):
    """The path of other devices, run on the CPU: 2**24 elements in at most 200 operators."""
    n = 2**24
    x = torch.ones(n)
    expected = draw(x)
    # As if it were another device.
    monkeypatch.setattr(_fill, "_SERIAL", _fill._LARGE + 64)
    monkeypatch.setattr(reference, "most", lambda device, each: n)
    monkeypatch.setattr(reference, "_keep_range", reference._keep_range_in_one_pass)
    with Operators() as seen:
        y = draw(x)
    assert torch.equal(y, expected)
    assert seen.calls <= 200
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        draw(x)
    now = most = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    assert most <= 40 * n
