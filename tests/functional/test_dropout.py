"""functional.dropout: the contract, torch's behaviours, and what it refuses."""

import sys

import numpy as np
import pytest
import torch

from draws import refused
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

KEY = Key(5, 2**40 + 1)


PARTS = [torch.arange(6.0).view(2, 3), torch.arange(12.0).view(4, 3)]
REFUSED = {"broadcast_dims": (0,), "layout": MaskLayout(0, (1, 1, 1)), "inplace": True}
REFUSED["out"] = torch.zeros(6, 3)


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested(layout):
    x = torch.nested.nested_tensor(PARTS, layout=layout, requires_grad=True)
    y = F.dropout(x, 0.5, key=KEY)
    expected = F.dropout(torch.cat(PARTS), 0.5, key=KEY)
    assert torch.equal(torch.cat(list(y.unbind())), expected)
    assert F.dropout(x, 0.5, False) is x
    torch.cat([part.flatten() for part in y.unbind()]).sum().backward()
    gradient = torch.cat(list(x.grad.unbind()))
    assert torch.equal(gradient, F.dropout(torch.ones(6, 3), 0.5, key=KEY))
    other = torch.nested.nested_tensor(PARTS, layout=layout)
    for name, value in [*REFUSED.items(), ("out", other)]:
        with refused(ArgumentValueError, f"no `{name}` with a nested tensor"):
            F.dropout(x.detach(), 0.5, **{name: value})
    with refused(ArgumentValueError, "no `out` with a nested tensor"):
        F.dropout(torch.cat(PARTS), 0.5, out=other)
    assert torch.equal(torch.cat(list(other.unbind())), torch.cat(PARTS))


X, HALF = torch.ones(2, 3), torch.tensor(0.5)


def test_errors_are_python_errors_too():
    with pytest.raises(ValueError, match="got p=2"):
        F.dropout(X, 2)
    with pytest.raises(TypeError, match="got p='x'"):
        F.dropout(X, "x")


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        (lambda f: torch.vmap(f)(torch.tensor([0.1, 0.9])), "one number for all samples of a vmap"),
        (lambda f: torch.func.grad(f)(HALF), "concrete_dropout learns p"),
        (lambda f: torch.func.jvp(f, (HALF,), (HALF,)), "concrete_dropout learns p"),
    ],
    ids=("vmap", "grad", "jvp"),
)
def test_a_p_that_a_transform_watches_is_refused(transform, says):
    with refused(ArgumentTypeError, says):
        transform(lambda p: F.dropout(X, p).sum())


@pytest.mark.integration
def test_compiled_a_tensor_breaks_the_graph_as_it_does_in_torch():
    call = torch.compile(lambda x, p: F.dropout(x, p, key=KEY), backend="eager")
    for p in (0.3, 0.0):
        assert torch.equal(call(X, torch.tensor(p)), F.dropout(X, torch.tensor(p), key=KEY))


@pytest.mark.integration
@pytest.mark.parametrize("p", [np.float64(0.3), np.float32(0.25), np.int64(1)])
def test_compiled_a_number_of_numpy_breaks_the_graph(p):
    """The compiler takes it for an array, whose value it does not know."""
    call = torch.compile(lambda x, p: F.dropout(x, p, key=KEY), backend="eager")
    assert torch.equal(call(X, p), F.dropout(X, p, key=KEY))
    whole = torch.compile(lambda x, p: F.dropout(x, p), backend="eager", fullgraph=True)
    with refused(torch._dynamo.exc.Unsupported, "pass a Python float"):
        whole(X, p)


def test_sharded_tensors_are_not_looked_for_where_torch_has_not_loaded_them(monkeypatch):
    x = torch.ones(5)
    expected = F.dropout(x, 0.5, key=KEY)
    monkeypatch.delitem(sys.modules, "torch.distributed.tensor", raising=False)
    assert torch.equal(F.dropout(x, 0.5, key=KEY), expected)
    assert torch.equal(F.dropout(torch.nn.Parameter(x), 0.5, key=KEY), expected)


@pytest.mark.parametrize("to", [torch.Tensor.to_sparse, torch.Tensor.to_mkldnn])
@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "gaussian_dropout"])
@pytest.mark.parametrize("inplace", [False, True])
def test_a_tensor_without_strides_is_refused_before_anything_is_drawn(name, to, inplace):
    x = to(torch.eye(4))
    with refused(ArgumentTypeError, "`input` to be a dense tensor where it drops"):
        getattr(F, name)(x, 0.5, training=True, inplace=inplace)
    assert getattr(F, name)(x, 0.5, training=False, inplace=inplace) is x
