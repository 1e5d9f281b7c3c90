"""What the reference costs: how many operators it calls, how large they are, and their memory."""

import itertools

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from torchdropout import Key, MaskLayout
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
    strides = MaskLayout.of(x.shape).strides
    return reference.masked_affine(x, Key(1).tensor(), p, 1 / (1 - p), 0.0, 0.0, 0, strides)


@pytest.mark.parametrize("shape", [(2**20 + 5,), (2**11, 2**10)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_operator_on_the_cpu_waits_for_threads(monkeypatch, dtype, shape):
    """On more elements, the threads wait for one another after each of a hundred operators."""
    x = torch.ones(shape, dtype=dtype)
    if len(shape) == 2:
        x = x.t()
    alone = draw(x)  # the tests run with one thread, which waits for nobody
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with Operators() as seen:
        y = draw(x)
    assert 2**10 < seen.largest < GRAIN
    assert torch.equal(y, alone)


def memory_of(function):
    """The bytes of each allocation that a call makes, and negative ones for what it frees."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        function()
    events = profiler.profiler.kineto_results.events()
    return [event.nbytes() for event in events if event.name() == "[memory]"]


def test_keep_bits_are_used_as_they_are_known():
    """Where elements lie in the order of their mask indices, no mask is stored."""
    x = torch.ones(2**22)
    assert sorted(memory_of(lambda: draw(x)))[-2] < x.numel()


def test_an_accelerator_gets_few_operators_and_little_memory(monkeypatch):
    """The path of other devices, run on the CPU: 2**24 elements in at most 200 operators."""
    n = 2**24
    x = torch.ones(n)
    expected = draw(x)
    # As if it were another device.
    monkeypatch.setattr(_fill, "_SERIAL", _fill._LARGE + 64)
    monkeypatch.setattr(reference, "most", lambda device, each: n)
    monkeypatch.setattr(reference, "_is_run", lambda x, strides: False)
    monkeypatch.setattr(reference, "_keep_into", reference._keep_range_in_one_pass)
    with Operators() as seen:
        y = draw(x)
    assert torch.equal(y, expected)
    assert seen.calls <= 200
    now = list(itertools.accumulate(memory_of(lambda: draw(x))))
    assert max(now) <= 40 * n
