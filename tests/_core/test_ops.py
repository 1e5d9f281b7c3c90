"""The operators under everything torch does to a program, without torch.compile."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import CheckpointPolicy

from oracle import dropout, same_bits
from torchdropout import Key
from torchdropout import functional as F
from torchdropout._core import ops
from torchdropout._core.ops import _keys, _masked_affine

KEY = Key(0x0123456789ABCDEF, 0xFEDCBA987654321)
AFFINES = {"plain": (1.25, 0.0, 0.0), "alpha": (0.9, 0.3, -0.7)}


def keyed(x):
    return F.dropout(x, 0.3, key=KEY)


def drawn(x):
    return F.dropout(x, 0.3)


def seeded(function, *args):
    torch.manual_seed(5)
    return function(*args)


class TestOpcheck:
    @pytest.mark.parametrize("affine", AFFINES)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
    @pytest.mark.parametrize("grad", [True, False])
    def test_masked_affine(self, affine, dtype, grad):
        if dtype.is_complex and affine == "alpha":
            pytest.skip("alpha dropout is real")
        x = torch.randn(3, 4, 5, dtype=dtype, requires_grad=grad)
        args = (x, KEY.tensor(), 0.2, *AFFINES[affine], -17, [20, 0, 1])
        results = torch.library.opcheck(torch.ops.torchdropout.masked_affine.default, args)
        assert set(results.values()) == {"SUCCESS"}
        assert len(results) == 4

    @pytest.mark.parametrize("grad", [True, False])
    def test_masked_by_rates(self, grad):
        x = torch.randn(3, 4, 5, requires_grad=grad)
        rates = torch.rand(1, 4, 1, dtype=torch.float64)
        args = (x, KEY.tensor(), rates, True, False, -17, [20, 0, 1])
        results = torch.library.opcheck(torch.ops.torchdropout.masked_affine.rates, args)
        assert set(results.values()) == {"SUCCESS"}

    @pytest.mark.parametrize("size", [[], [3]])
    def test_draw_keys(self, size):
        like = torch.empty(0, dtype=torch.int64)
        # Not the tests that run it twice and compare: it is a draw.
        results = torch.library.opcheck(
            torch.ops.torchdropout.draw_keys.default,
            (like, size),
            test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
        )
        assert set(results.values()) == {"SUCCESS"}


class TestFunctionTransforms:
    def test_grad_vjp_jvp_jacrev_jacfwd_hessian(self):
        x, v = torch.randn(6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
        diagonal = dropout(torch.ones_like(x), 0.3, KEY)
        assert torch.equal(torch.func.grad(lambda x: keyed(x).sum())(x), diagonal)
        assert torch.equal(torch.func.vjp(keyed, x)[1](v)[0], diagonal * v)
        assert torch.equal(torch.func.jvp(keyed, (x,), (v,))[1], diagonal * v)
        assert torch.equal(torch.func.jacrev(keyed)(x), diagonal.diag())
        assert torch.equal(torch.func.jacfwd(keyed)(x), diagonal.diag())
        hessian = torch.func.hessian(lambda x: (keyed(x) * x).sum())(x)
        assert torch.equal(hessian, 2 * diagonal.diag())

    @pytest.mark.parametrize("in_dim", [0, 1, 2])
    def test_vmap_over_any_dimension(self, in_dim):
        x = torch.randn(4, 5, 6)
        y = torch.func.vmap(keyed, in_dims=in_dim, out_dims=in_dim)(x)
        samples = [keyed(sample) for sample in x.unbind(in_dim)]
        assert torch.equal(y, torch.stack(samples, in_dim))

    def test_vmap_of_vmap(self):
        x = torch.ones(2, 3, 64)

        def nested(outer, inner):
            return seeded(
                torch.func.vmap(torch.func.vmap(drawn, randomness=inner), randomness=outer), x
            )

        assert len(nested("different", "different").flatten(0, 1).unique(dim=0)) == 6
        assert len(nested("same", "same").flatten(0, 1).unique(dim=0)) == 1
        rows = nested("different", "same")
        assert [len(part.unique(dim=0)) for part in rows] == [1, 1]
        assert not torch.equal(rows[0], rows[1])

    def test_vmap_in_place(self):
        def function(row):
            return F.dropout(row + 0, 0.3, inplace=True)

        y = seeded(torch.func.vmap(function, randomness="different"), torch.ones(3, 64))
        expected = seeded(torch.func.vmap(drawn, randomness="different"), torch.ones(3, 64))
        assert torch.equal(y, expected)


class TestTracing:
    @pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
    @pytest.mark.parametrize("function", [keyed, drawn])
    def test_make_fx(self, mode, function):
        x = torch.randn(4, 6)
        graph = make_fx(function, tracing_mode=mode)(x)
        assert torch.equal(seeded(graph, x), seeded(function, x))


def test_in_a_capture_the_device_draws_the_key(monkeypatch):
    """Without a GPU, the CPU stands for it."""
    monkeypatch.setattr(_keys, "captures", lambda device: device == torch.device("cpu"))
    first, again = (seeded(ops.draw_key, torch.device("cpu")) for _ in range(2))
    assert (first.dtype, first.shape) == (torch.int64, (2,))
    assert first[1] == 0
    assert torch.equal(first, again)
    drawn = torch.stack([ops.draw_key(torch.device("cpu")) for _ in range(100)])
    assert len(drawn[:, 0].unique()) == 100
    assert drawn[:, 0].min() < -(2**61)
    assert drawn[:, 0].max() > 2**61


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("compiling", [False, True])
@pytest.mark.parametrize("capturing", [False, True])
def test_a_key_is_drawn_by_a_gpu_only_in_a_capture_that_nothing_watches(
    monkeypatch, capturing, compiling, watched
):
    monkeypatch.setattr(_keys.seed, "captures", lambda: capturing)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    monkeypatch.setattr(_keys._torch, "may_be_watched", lambda: watched)
    assert ops.captures(torch.device("cuda")) is (capturing and not compiling and not watched)
    assert not ops.captures(torch.device("cpu"))
    assert not ops.captures(None)


@pytest.mark.parametrize("fuses", [False, True])
@pytest.mark.parametrize("rest", [(0.0, 0.0), (0.3, 0.0), (0.0, -0.7), (0.3, 0.3), (0.3, -0.7)])
def test_what_a_graph_sees_into_is_linear(monkeypatch, fuses, rest):
    x, key, place = torch.randn(4, 6), KEY.tensor(), (-17, [6, 1])
    constants = torch.tensor((0.2, 1.25, *rest), dtype=torch.float64)
    expected = ops.masked_affine(x, key, 0.2, 1.25, *rest, *place)
    calls = []
    for name in ("_fused", "_fused_of"):
        operator = getattr(_masked_affine, name)
        monkeypatch.setattr(
            _masked_affine,
            name,
            lambda *args, name=name, operator=operator: calls.append(name) or operator(*args),
        )
    monkeypatch.setattr(_masked_affine, "_fuses", lambda x: fuses)
    assert same_bits(ops.masked_affine(x, key, 0.2, 1.25, *rest, *place), expected)
    assert same_bits(ops.masked_affine_of(x, key, constants, *place), expected)
    linear = rest == (0.0, 0.0)
    assert calls == (["_fused"] if fuses and linear else [])
    if linear:
        assert same_bits(ops.masked_linear_of(x, key, constants, *place), expected)
        assert calls == (["_fused", "_fused_of"] if fuses else [])


class Node:
    """A node of a graph."""

    def __init__(self, target, *inputs, backward=False):
        self.target, self.all_input_nodes, self.backward = target, list(inputs), backward
        self.meta = {"ac_graph_id": 3}


@pytest.mark.parametrize(
    ("budgets", "policy"),
    [
        ((), CheckpointPolicy.MUST_SAVE),
        ((1, 0.5), CheckpointPolicy.MUST_SAVE),
        ((1, 0), CheckpointPolicy.MUST_RECOMPUTE),
    ],
)
def test_the_draws_of_a_key_are_kept_for_the_backward(monkeypatch, budgets, policy):
    monkeypatch.setattr(_keys._torch, "is_of_backward", lambda node: node.backward)
    monkeypatch.setattr(_keys._torch, "budgets", lambda node: budgets)
    before = Node("placeholder")
    first, second = Node(_keys._draw_keys, before), Node(_keys._draw_keys)
    again = Node(_keys._draw_keys, backward=True)
    view = Node("view", first)
    key = Node("cat", view, view, second, again)
    _keys._mark_draws(key)
    for draw in (first, second):
        assert draw.meta == {"recompute": policy}
    for other in (before, again, view, key):
        assert other.meta == {"ac_graph_id": 3}
    _keys._mark_draws(before)
    assert before.meta == {"ac_graph_id": 3}
