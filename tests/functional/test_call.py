"""Which way a call takes: the shortest that is open to it, whose result is that of any other."""

import math

import pytest
import torch

from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout._core import direct, ops
from torchdropout._core.contract.noise import Law
from torchdropout.errors import ArgumentTypeError
from torchdropout.functional import _bernoulli
from torchdropout.functional._bernoulli import bernoulli, inverted, unscaled
from torchdropout.functional._call import KeyedMap, apply, check_call
from torchdropout.functional._noise import noise

KEY = Key(2**63 + 5, 9)
X, OUT = torch.arange(1.0, 7.0).view(2, 3), torch.zeros(2, 3)
LAYOUT = MaskLayout(7, (8, 1))
REST = (True, False, KEY, None, (), None)


needs_kernels = pytest.mark.skipif(
    len(backends.available()) == 1, reason=f"needs compiled kernels: {backends.why()}"
)


def generator(seed=3):
    return torch.Generator().manual_seed(seed)


DRAWN = Key.draw(generator()).seed


@needs_kernels
@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, True),
        ({"shared": (1,)}, True),
        ({"broadcast_dims": (0,)}, True),
        ({"inplace": True}, True),
        ({"out": OUT}, True),
        ({"training": 1}, False),
        ({"training": 0}, False),
        ({"key": KEY}, False),
        ({"generator": generator()}, False),
        ({"layout": LAYOUT}, False),
        ({"inplace": 1}, False),
        ({"inplace": True, "out": OUT}, False),
        ({"broadcast_dims": [0]}, False),
        ({"broadcast_dims": (0,), "shared": (1,)}, False),
    ],
)
def test_the_most_common_calls_take_the_shortest_way(change, taken):
    given = {"x": X.clone(), "p": 0.5, "shared": (), "training": True, "inplace": False}
    given |= dict.fromkeys(("key", "generator", "layout", "out")) | {"broadcast_dims": ()}
    given |= change
    torch.manual_seed(5)
    state = torch.get_rng_state()
    y = direct.dropout(**given)
    if not taken:
        assert y is None
        assert torch.equal(torch.get_rng_state(), state)
        return
    shared = given["shared"] or given["broadcast_dims"]
    assert torch.equal(y, F.dropout(X, 0.5, key=Key.draw(generator(5)), broadcast_dims=shared))
    into = {"inplace": given["x"], "out": OUT}
    assert all(y is into[name] for name in change if name in into)


@needs_kernels
@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({"training": False}, True),
        ({"training": False, "p": 1.0, "shared": (1,)}, True),
        ({"p": 0.0, "inplace": True}, True),
        ({"p": 0.0, "shared": (1,)}, True),
        ({"training": False, "p": 1.5}, False),
        ({"training": False, "p": math.nan}, False),
        ({"p": -0.0, "key": KEY}, False),
        ({"p": 0.0, "out": OUT}, False),
        ({"p": 0.0, "broadcast_dims": (5,)}, False),
        ({"training": False, "inplace": 0}, False),
        ({"training": False, "x": [1.0]}, False),
    ],
)
def test_the_identity_takes_the_shortest_way(change, taken):
    given = {"x": X, "p": 0.5, "shared": (), "training": True, "inplace": False}
    given |= dict.fromkeys(("key", "generator", "layout", "out")) | {"broadcast_dims": ()}
    assert direct.dropout(**given | change) is (X if taken else None)


def tripled(calls, monkeypatch, active=True, is_noise=False, evident=True, takes=True):
    """The map `3 x`, which notes which of its ways are tried."""

    def run(x, call, out=None, checked=False):
        calls.append(("run", *call[1:5], out is not None, checked))
        if not takes or not (evident or checked or out is None):
            return None
        return x * 3 if out is None else out.copy_(x * 3)

    def operator(x, key, factor, base, strides):
        calls.append(("operator", base, list(strides)))
        return x * factor

    monkeypatch.setattr(direct, "by_kernel", run)
    return KeyedMap(active, operator, (3.0,), is_noise)


NEW, EVIDENT, CHECKED = (
    ("run", None, 0, 0, None, *rest) for rest in [(False, True), (True, False), (True, True)]
)
OPERATOR = ("operator", 0, [3, 1])


@pytest.mark.parametrize(
    ("ways", "given", "expected"),
    [
        ({}, {}, [NEW]),
        ({}, {"key": KEY}, [("run", KEY.seed, 9, 0, None, False, True)]),
        ({}, {"generator": True}, [("run", DRAWN, 0, 0, None, False, True)]),
        ({}, {"layout": LAYOUT}, [("run", None, 0, 7, [8, 1], False, True)]),
        ({}, {"broadcast_dims": (0,)}, [("run", None, 0, 0, [0, 1], False, True)]),
        ({"takes": False}, {}, [NEW, OPERATOR]),
        ({"is_noise": None}, {}, [OPERATOR]),
        ({"is_noise": None}, {"layout": LAYOUT}, [("operator", 7, [8, 1])]),
        ({}, {"out": True}, [EVIDENT]),
        ({}, {"inplace": True}, [EVIDENT]),
        ({}, {"out": True, "key": KEY}, [("run", KEY.seed, 9, 0, None, True, False)]),
        ({}, {"out": True, "generator": True}, [("run", DRAWN, 0, 0, None, True, True)]),
        ({"evident": False}, {"out": True}, [EVIDENT, CHECKED]),
        ({"evident": False}, {"inplace": True}, [EVIDENT, CHECKED]),
        ({"takes": False}, {"out": True}, [EVIDENT, CHECKED, NEW, OPERATOR]),
        ({"is_noise": None}, {"inplace": True}, [OPERATOR]),
        ({"active": False}, {}, []),
        ({"active": False}, {"out": True}, []),
        ({}, {"training": False}, []),
        ({}, {"training": False, "inplace": True}, []),
        ({}, {"training": False, "out": True, "key": KEY}, []),
    ],
)
def test_the_way_of_a_call(ways, given, expected, monkeypatch):
    calls, x = [], X.clone()
    given = {"training": True, "inplace": False, "key": None, "broadcast_dims": ()} | given
    out = given["out"] = torch.zeros(2, 3) if "out" in given else None
    given["generator"] = generator() if "generator" in given else None
    y = apply(tripled(calls, monkeypatch, **ways), x, **{"layout": None} | given)
    assert calls == expected
    assert torch.equal(y, 3 * X if expected else X)
    assert (y is x) == (given["inplace"] or (not expected and out is None))
    assert (y is out) == (out is not None)


def test_what_a_variant_takes_unless_it_says_something_else():
    x = torch.ones(2, dtype=torch.complex64)
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    assert check_call(x, True, None, None) is x
    assert check_call(nested, True, None, None, nested_ok=True) is nested
    for refused, given in ((x, {"complex_ok": False}), (nested, {})):
        with pytest.raises(ArgumentTypeError, match="`input`"):
            check_call(refused, True, None, None, **given)


class Mine(torch.Tensor):
    pass


def graph():
    return torch.ones(2, 3, requires_grad=True) * 1


WRITES = {
    "into another": (lambda: (torch.ones(2, 3), X), True, True),
    "in place": (lambda: [torch.ones(2, 3)] * 2, True, True),
    "into a view": (lambda: (torch.ones(3, 3)[1:], X), True, True),
    "into a subclass": (lambda: (torch.ones(2, 3).as_subclass(Mine), X), True, False),
    "of a subclass": (lambda: (torch.ones(2, 3), X.as_subclass(Mine)), True, False),
    "of a graph": (lambda: [graph()] * 2, True, True),
    "of a graph, without gradient": (lambda: [graph()] * 2, False, True),
    "view of a graph": (lambda: [graph()[:1]] * 2, True, False),
    "of a leaf": (lambda: (torch.ones(2, 3), X.clone().requires_grad_()), False, True),
}


@needs_kernels
@pytest.mark.parametrize(("make", "grad", "expected"), WRITES.values(), ids=WRITES)
@pytest.mark.parametrize(
    "keyed_map", [bernoulli(0.5, 2.0, 0.0, 0.0), noise(Law.NORMAL, 0.5, 0.0)], ids=["mask", "noise"]
)
def test_what_is_written_by_a_kernel(make, grad, expected, keyed_map):
    """The copy of torch writes what the kernels do not."""
    into, x = make()
    call = (keyed_map.is_noise, KEY.seed, KEY.stream, 0, None, keyed_map.constants)
    with torch.set_grad_enabled(grad):
        wanted = apply(keyed_map._replace(is_noise=None), x.detach(), *REST)
        y = direct.by_kernel(x, call, into, checked=True)
    assert (y is not None) is expected
    if expected:
        assert torch.equal(into.detach(), wanted)


@pytest.mark.parametrize("make", [inverted, unscaled])
def test_a_tensor_of_one_number_is_that_number(make):
    """One with dimensions has a rate for each element."""
    number = make(torch.tensor(0.25), X)
    assert number.operator is ops.masked_affine
    assert number.constants == make(0.25).constants
    assert make(torch.tensor([0.25]), X).operator is ops.masked_by_rates
    assert make(torch.tensor(0.0), X).active is make(0.0).active is False


@pytest.mark.parametrize("name", ["readable", "compiling", "captured", "without values", "spread"])
def test_rates_are_checked_before_the_draw_if_they_can_be_read(name, monkeypatch):
    device = "meta" if name in ("without values", "spread") else "cpu"
    p, x = torch.tensor([0.5, 0.25, 1.0], device=device), X.to(device)
    asked = []
    monkeypatch.setattr(_bernoulli, "check_rates", asked.append)
    monkeypatch.setattr(_bernoulli, "are_spread", lambda tensors: name == "spread")
    monkeypatch.setattr(_bernoulli, "is_captured", lambda p: name == "captured")
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: name == "compiling")
    rates, scaled, checked = _bernoulli.each(p, x, scaled=True).constants
    assert checked is (name in ("readable", "spread"))
    assert len(asked) == checked
    assert rates.shape == (1, 3)
    assert scaled is True


def test_rates_of_an_inference_mode_are_copied_outside_of_it():
    with torch.inference_mode():
        p = torch.tensor([0.5])
        assert inverted(p, X).constants[0].data_ptr() == p.data_ptr()
    assert not inverted(p, X).constants[0].is_inference()
    assert inverted(p.clone(), X).constants[0].shape == (1, 1)
    alone = torch.tensor([0.5, 0.5, 0.5])
    assert inverted(alone, X).constants[0].data_ptr() == alone.data_ptr()
