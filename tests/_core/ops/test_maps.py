"""What `define_map` gives each operator: two forms, derivatives, a vmap rule, a fake kernel."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from oracle import same_bits
from torchdropout import Key
from torchdropout._core import _torch, ops
from torchdropout._core.contract.noise import Law
from torchdropout._core.ops import _keys


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


P, SHIFT, RATE = numbers(0.3, 1.5, 0.5, -1.0), numbers(0.3, 0.5), numbers(0.2, 1.5, 0.0)
HALF = numbers(0.5).squeeze()
FORMS = {
    "masked_affine": lambda x, k, *at: ops.masked_affine(x, k, *P.tolist(), *at),
    "masked_affine.tensor": lambda x, k, *at: ops.masked_affine_of(x, k, P, *at),
    "noise_affine": lambda x, k, *at: ops.noise_affine(x, k, Law.NORMAL, 0.3, 0.5, *at),
    "noise_affine.tensor": lambda x, k, *at: ops.noise_affine_of(x, k, Law.NORMAL, SHIFT, *at),
    "counted_affine": lambda x, k, *at: ops.counted_affine(x, k, 2, 4, -1, 1.5, *at),
    "counted_affine.share": lambda x, k, *at: ops.counted_affine_of(x, k, HALF, 4, -1, True, *at),
    "drop_blocks": lambda x, k, *at: ops.drop_blocks(x, k, 1, 2, False, *RATE.tolist(), *at),
    "drop_blocks.tensor": lambda x, k, *at: ops.drop_blocks_of(x, k, RATE, 1, 2, False, *at),
}
each_form = pytest.mark.parametrize("form", FORMS)
X = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
KEYS = torch.stack([Key(s).tensor() for s in (3, 4)])
PLACE = 5, [5, 1]  # with room for the seeds of blocks


@each_form
@pytest.mark.parametrize(
    ("x_dim", "key_dim"), [(0, 0), (0, None), (None, 0), (1, 0), (2, 1), (-1, None)]
)
def test_each_sample_of_a_vmap_is_a_call(form, x_dim, key_dim):
    call = FORMS[form]
    x = X[0] if x_dim is None else X.movedim(0, x_dim)
    keys = KEYS[0] if key_dim is None else KEYS.movedim(0, key_dim)
    y = torch.vmap(lambda x, key: call(x, key, *PLACE), (x_dim, key_dim))(x, keys)
    places = [(0 if x_dim is None else n, 0 if key_dim is None else n) for n in range(2)]
    expected = [call(X[place], KEYS[key], *PLACE) for place, key in places]
    assert same_bits(y, torch.stack(expected))


@each_form
def test_the_derivative_is_that_of_the_linear_part(form):
    """Each element depends on one: the derivatives of both directions are the same."""
    x, tangent = X

    def function(x):
        return FORMS[form](x, KEYS[0], *PLACE)

    of_graph = type(function(x.clone().requires_grad_()).grad_fn)._forward_cls
    assert of_graph._compiled_autograd_key is _torch.compiled_autograd_key
    y, backward = torch.func.vjp(function, x)
    expected = function(tangent) - function(torch.zeros_like(x))
    assert same_bits(y, function(x))
    torch.testing.assert_close(backward(tangent)[0], expected)
    torch.testing.assert_close(torch.func.jvp(function, (x,), (tangent,))[1], expected)


@each_form
def test_a_graph_has_the_operator_and_keeps_its_key(form, monkeypatch):
    marked = []
    monkeypatch.setattr(_keys, "_mark_draws", lambda node: marked.append(node.name))
    graph = make_fx(lambda x, key: FORMS[form](x, key, *PLACE))(X[0], KEYS[0]).graph
    name, _, overload = form.partition(".")
    operator = getattr(getattr(torch.ops.torchdropout, name), overload or "default")
    assert [n.name for n in graph.nodes if n.target is operator]
    assert marked == ["key_1"]
    several = make_fx(torch.vmap(lambda x, key: FORMS[form](x, key, *PLACE)))(X, KEYS).graph
    assert [n.target for n in several.nodes].count(operator) == 1  # of all samples
    assert operator.has_kernel_for_dispatch_key(torch._C.DispatchKey.Meta)


@pytest.mark.parametrize("operator", ["masked_affine", "noise_affine", "counted_affine"])
def test_the_reference_is_an_operator_too(operator):
    """The extension calls it for what it has no kernel for."""
    reference = getattr(torch.ops.torchdropout, f"{operator}_reference").default
    public = getattr(torch.ops.torchdropout, operator).default
    rest = {
        "masked_affine": (0.3, 1.5, 0.5, -1.0),
        "noise_affine": (2, 0.3, 0.5),
        "counted_affine": (2, 4, -1, 1.5),
    }[operator]
    args = X[0], KEYS[0], *rest, *PLACE
    assert same_bits(reference(*args), public(*args))
