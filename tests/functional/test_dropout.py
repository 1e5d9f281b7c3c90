"""functional.dropout: the contract, torch's behaviours, and what it refuses."""

import math
import sys

import numpy as np
import pytest
import torch

from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

KEY = Key(5, 2**40 + 1)


class TestMask:
    def test_streams_and_seeds_are_independent(self):
        """Pairs of masks agree in half their bits, within 7 sigma of 2**16 fair coins."""
        masks = [
            F.keep_mask((2**16,), 0.5, key=key)
            for key in (Key(0), Key(1), Key(0, 1), Key(0, 2**32), Key(2**32), Key(0).fold_in(1))
        ]
        for i, one in enumerate(masks):
            for other in masks[:i]:
                agree = (one == other).sum().item()
                assert abs(agree - 2**15) < 7 * math.sqrt(2**16 / 4)


class TestSubclasses:
    @pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
    @pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
    def test_nested(self, layout):
        parts = [torch.randn(2, 3), torch.randn(4, 3)]
        x = torch.nested.nested_tensor(parts, layout=layout, requires_grad=True)
        y = F.dropout(x, 0.5, key=KEY)
        expected = F.dropout(torch.cat(parts), 0.5, key=KEY)
        assert torch.equal(torch.cat(list(y.unbind())), expected)
        assert F.dropout(x, 0.5, False) is x
        torch.cat([part.flatten() for part in y.unbind()]).sum().backward()
        gradient = torch.cat(list(x.grad.unbind()))
        assert torch.equal(gradient, F.dropout(torch.ones(6, 3), 0.5, key=KEY))

    @pytest.mark.parametrize(
        "extra",
        [{"broadcast_dims": (0,)}, {"layout": MaskLayout(0, (1, 1, 1))}, {"inplace": True}],
        ids=str,
    )
    @pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
    def test_nested_refuses_what_has_no_meaning(self, extra):
        x = torch.nested.nested_tensor([torch.randn(2, 3), torch.randn(4, 3)])
        (name,) = extra
        with pytest.raises(ArgumentValueError, match=f"no `{name}` with a nested tensor"):
            F.dropout(x, 0.5, **extra)


X = torch.ones(2, 3)


def test_errors_are_python_errors_too():
    with pytest.raises(ValueError, match="got p=2"):
        F.dropout(X, 2)
    for p in (10**400, -(10**400)):  # which no float holds
        with pytest.raises(ValueError, match=r"`p` to be in \[0, 1\]"):
            F.dropout(X, p)
    with pytest.raises(TypeError, match="got p='x'"):
        F.dropout(X, "x")


@pytest.mark.parametrize(
    ("transform", "says"),
    {
        "vmap": (
            lambda f: torch.vmap(f)(torch.tensor([0.1, 0.9])),
            "`p` to be one number for all samples of a vmap",
        ),
        "grad": (lambda f: torch.func.grad(f)(torch.tensor(0.5)), "concrete_dropout learns p"),
        "jvp": (
            lambda f: torch.func.jvp(f, (torch.tensor(0.5),), (torch.tensor(1.0),)),
            "concrete_dropout learns p",
        ),
    }.values(),
    ids=("vmap", "grad", "jvp"),
)
def test_a_p_that_a_transform_watches_is_refused(transform, says):
    before = torch.get_rng_state()
    with pytest.raises(ArgumentTypeError) as raised:
        transform(lambda p: F.dropout(X, p).sum())
    assert says in str(raised.value)
    assert torch.equal(torch.get_rng_state(), before)


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
    before = torch.get_rng_state()
    with pytest.raises(torch._dynamo.exc.Unsupported, match="pass a Python float"):
        whole(X, p)
    assert torch.equal(torch.get_rng_state(), before)


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
    x, before = to(torch.eye(4)), torch.get_rng_state()
    with pytest.raises(ArgumentTypeError, match="`input` to be a dense tensor where it drops"):
        getattr(F, name)(x, 0.5, training=True, inplace=inplace)
    assert torch.equal(torch.get_rng_state(), before)
    assert getattr(F, name)(x, 0.5, training=False, inplace=inplace) is x
