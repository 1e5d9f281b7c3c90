"""The operators under everything torch does to a program, without torch.compile."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import CheckpointPolicy

from oracle import same_bits
from torchdropout import Key
from torchdropout import functional as F
from torchdropout._core import ops
from torchdropout._core.contract.noise import Law
from torchdropout._core.ops import _keys, _masked_affine
from variants import seeded

KEY = Key(0x0123456789ABCDEF, 0xFEDCBA987654321)


def drawn(x):
    return F.dropout(x, 0.3)


PLAIN, ALPHA = (0.2, 1.25, 0.0, 0.0), (0.2, 0.9, 0.3, -0.7)
PLACE = -17, [20, 0, 1]
RATES = torch.rand(1, 4, 1, dtype=torch.float64)
MAPS = [
    ("masked_affine", torch.float32, (*PLAIN, *PLACE)),
    ("masked_affine", torch.float32, (*ALPHA, *PLACE)),
    ("masked_affine", torch.bfloat16, (*ALPHA, *PLACE)),
    ("masked_affine", torch.complex64, (*PLAIN, *PLACE)),
    ("masked_affine.rates", torch.float32, (RATES, True, False, *PLACE)),
    *(("noise_affine", torch.float32, (law, 0.5, 0.25, *PLACE)) for law in Law),
    ("counted_affine", torch.float32, (2, 4, -2, 2.0, 3, [20, 5, 1])),
    ("counted_affine", torch.bfloat16, (1, 5, -1, 2.0, 3, [20, 5, 1])),
]
PLACES = (3, False, 2), torch.device("cpu")
OTHERS = [
    *(("choose", (KEY.tensor(), [4, 8], *PLACES[0], s, PLACES[1])) for s in ([8, 1], [0, 1])),
    ("choose.share", (KEY.tensor(), RATES[0, 0], [4, 8], *PLACES[0][1:], [8, 1], PLACES[1])),
    # Not the checks that run it twice and compare: it is a draw.
    *(("draw_keys", (torch.empty(0, dtype=torch.int64), size)) for size in ([], [3])),
]


def opcheck(name, args, **given):
    name, _, form = name.partition(".")
    operator = getattr(getattr(torch.ops.torchdropout, name), form or "default")
    results = torch.library.opcheck(operator, args, **given)
    assert set(results.values()) == {"SUCCESS"}
    return len(results)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(("name", "dtype", "rest"), MAPS)
def test_torchs_checks_of_maps(name, dtype, rest, grad):
    x = torch.randn(3, 4, 5, dtype=dtype, requires_grad=grad)
    assert opcheck(name, (x, KEY.tensor(), *rest)) == 4


@pytest.mark.parametrize(("name", "args"), OTHERS)
def test_torchs_checks_of_others(name, args):
    deterministic = "test_schema", "test_autograd_registration", "test_faketensor"
    opcheck(name, args, **({"test_utils": deterministic} if name == "draw_keys" else {}))


def nested(outer, inner):
    """A draw for each sample of a vmap in a vmap."""
    function = torch.func.vmap(torch.func.vmap(drawn, randomness=inner), randomness=outer)
    return seeded(function, torch.ones(2, 3, 64))


def test_vmap_of_vmap():
    assert len(nested("different", "different").flatten(0, 1).unique(dim=0)) == 6
    assert len(nested("same", "same").flatten(0, 1).unique(dim=0)) == 1
    rows = nested("different", "same")
    assert [len(part.unique(dim=0)) for part in rows] == [1, 1]
    assert not torch.equal(rows[0], rows[1])


def test_vmap_in_place():
    def function(row):
        return F.dropout(row + 0, 0.3, inplace=True)

    y = seeded(torch.func.vmap(function, randomness="different"), torch.ones(3, 64))
    expected = seeded(torch.func.vmap(drawn, randomness="different"), torch.ones(3, 64))
    assert torch.equal(y, expected)


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_a_traced_draw_is_drawn_by_the_graph(mode):
    x = torch.randn(4, 6)
    graph = make_fx(drawn, tracing_mode=mode)(x)
    assert torch.equal(seeded(graph, x), seeded(drawn, x))


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
def test_a_gpu_draws_in_a_capture_that_nothing_watches(monkeypatch, capturing, compiling, watched):
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
