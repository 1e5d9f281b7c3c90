"""Which errors say that memory ran out, and what a trial forward makes of them."""

import pytest
import torch

from torchdropout.models.scope._out_of_memory import explained, is_out_of_memory, may_fail

OUT = [
    MemoryError(),
    torch.OutOfMemoryError("anything"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("[enforce fail] not enough memory: you tried to allocate 8 bytes"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
]
OTHERS = [RuntimeError("size mismatch"), ValueError("out of memory"), KeyError("out of memory")]


@pytest.mark.parametrize("error", OUT, ids=repr)
def test_errors_of_memory(error):
    assert is_out_of_memory(error)
    with pytest.raises(type(error)) as caught, may_fail():
        raise error
    assert caught.value is error


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_other_errors(error):
    assert not is_out_of_memory(error)
    with may_fail():
        raise error
    before = error.args
    with pytest.raises(type(error)), explained():
        raise error
    assert error.args == before


@pytest.mark.parametrize("make", [MemoryError, RuntimeError])
def test_what_helps_is_explained(make):
    error = make("out of memory")
    with (
        pytest.raises(make, match=r"^Out of memory while finding the sites") as caught,
        explained(),
    ):
        raise error
    assert caught.value is error
    assert str(error).endswith(f"({make.__name__}: out of memory)")
