"""Which way a call takes: the shortest that is open to it, whose result is that of any other."""

import pytest
import torch

from torchdropout import Key, MaskLayout, backends
from torchdropout._core import direct, ops
from torchdropout._core.contract.noise import Law
from torchdropout.errors import ArgumentTypeError
from torchdropout.functional import _bernoulli
from torchdropout.functional._bernoulli import bernoulli, inverted, unscaled
from torchdropout.functional._call import apply, by_default, check_call
from torchdropout.functional._map import KeyedMap
from torchdropout.functional._noise import noise

KEY = Key(2**63 + 5, 9)
X, OUT = torch.arange(1.0, 7.0).view(2, 3), torch.zeros(2, 3)
LAYOUT = MaskLayout(7, (8, 1))


def generator():
    return torch.Generator().manual_seed(3)


DRAWN = Key.draw(generator()).seed


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (X, 0.5, (), None)),
        ({"shared": (1,)}, (X, 0.5, (1,), None)),
        ({"broadcast_dims": (0,)}, (X, 0.5, (0,), None)),
        ({"inplace": True}, (X, 0.5, (), X)),
        ({"out": OUT}, (X, 0.5, (), OUT)),
        ({"training": False}, None),
        ({"training": 1}, None),
        ({"key": KEY}, None),
        ({"generator": generator()}, None),
        ({"layout": LAYOUT}, None),
        ({"inplace": 1}, None),
        ({"inplace": True, "out": OUT}, None),
        ({"broadcast_dims": [0]}, None),
        ({"broadcast_dims": (0,), "shared": (1,)}, None),
    ],
)
def test_the_most_common_calls_take_the_shortest_way(change, expected, monkeypatch):
    monkeypatch.setattr(direct, "dropout", lambda *args: args)
    given = {"input": X, "p": 0.5, "shared": (), "training": True, "inplace": False}
    given |= dict.fromkeys(("key", "generator", "layout", "out")) | {"broadcast_dims": ()}
    assert by_default(**given | change) == expected


def tripled(calls, active=True, short=True, write=True):
    """The map `3 x`, which notes which of its ways are tried; one that is False is closed."""

    def by_short(x, seed, stream, base, strides, factor, out=None):
        calls.append(("short", seed, stream, base, strides, out is not None))
        if not short:
            return None
        return x * factor if out is None else out.copy_(x * factor)

    def by_write(into, x, key, generator, base, strides, factor):
        calls.append(("write", key, generator is not None, base, strides))
        return into.copy_(x * factor) if write else None

    def operator(x, key, factor, base, strides):
        calls.append(("operator", base, list(strides)))
        return x * factor

    ways = None if short is None else by_short, None if write is None else by_write
    return KeyedMap(active, operator, (3.0,), *ways)


SHORT, SHORT_OUT = ("short", None, 0, 0, None, False), ("short", None, 0, 0, None, True)
WRITE, OPERATOR = ("write", None, False, 0, None), ("operator", 0, [3, 1])


@pytest.mark.parametrize(
    ("ways", "given", "expected"),
    [
        ({}, {}, [SHORT]),
        ({}, {"key": KEY}, [("short", KEY.seed, 9, 0, None, False)]),
        ({}, {"generator": True}, [("short", DRAWN, 0, 0, None, False)]),
        ({}, {"layout": LAYOUT}, [("short", None, 0, 7, [8, 1], False)]),
        ({}, {"broadcast_dims": (0,)}, [("short", None, 0, 0, [0, 1], False)]),
        ({"short": False}, {}, [SHORT, OPERATOR]),
        ({"short": None}, {}, [OPERATOR]),
        ({"short": None}, {"layout": LAYOUT}, [("operator", 7, [8, 1])]),
        ({}, {"out": True}, [SHORT_OUT]),
        ({}, {"out": True, "key": KEY}, [("short", KEY.seed, 9, 0, None, True)]),
        ({}, {"out": True, "generator": True}, [("write", None, True, 0, None)]),
        ({}, {"inplace": True}, [WRITE]),
        ({}, {"inplace": True, "key": KEY}, [("write", KEY, False, 0, None)]),
        ({"short": False}, {"out": True}, [SHORT_OUT, WRITE]),
        ({"short": None}, {"out": True}, [WRITE]),
        ({"write": False}, {"inplace": True}, [WRITE, SHORT]),
        ({"short": False, "write": False}, {"out": True}, [SHORT_OUT, WRITE, SHORT, OPERATOR]),
        ({"write": None}, {"out": True}, [SHORT]),
        ({"write": None}, {"inplace": True}, [SHORT]),
        ({"active": False}, {}, []),
        ({"active": False}, {"out": True}, []),
        ({}, {"training": False}, []),
        ({}, {"training": False, "inplace": True}, []),
        ({}, {"training": False, "out": True, "key": KEY}, []),
    ],
)
def test_the_way_of_a_call(ways, given, expected):
    calls, x = [], X.clone()
    given = {"training": True, "inplace": False, "key": None, "broadcast_dims": ()} | given
    out = given["out"] = torch.zeros(2, 3) if "out" in given else None
    given["generator"] = generator() if "generator" in given else None
    y = apply(tripled(calls, **ways), x, **{"layout": None} | given)
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
    "into another": (lambda: (torch.ones(2, 3), X), True, True, True),
    "in place": (lambda: [torch.ones(2, 3)] * 2, True, True, True),
    "into a view": (lambda: (torch.ones(3, 3)[1:], X), True, True, True),
    "into a subclass": (lambda: (torch.ones(2, 3).as_subclass(Mine), X), True, False, False),
    "of a subclass": (lambda: (torch.ones(2, 3), X.as_subclass(Mine)), True, False, False),
    "of a graph": (lambda: [graph()] * 2, True, True, False),
    "of a graph, without gradient": (lambda: [graph()] * 2, False, True, True),
    "view of a graph": (lambda: [graph()[:1]] * 2, True, False, False),
    "of a leaf": (lambda: (torch.ones(2, 3), X.clone().requires_grad_()), False, True, True),
}


@pytest.mark.skipif(
    len(backends.available()) == 1, reason=f"needs compiled kernels: {backends.why()}"
)
@pytest.mark.parametrize(
    ("make", "grad", "by_mask", "by_noise"),
    WRITES.values(),
    ids=WRITES,
)
def test_what_is_written_by_a_kernel(make, grad, by_mask, by_noise):
    """Without a gradient, the copy of torch writes what the kernels do not."""
    for keyed_map, expected in (
        (bernoulli(0.5, 2.0, 0.0, 0.0), by_mask),
        (noise(Law.NORMAL, 0.5, 0.0), by_noise),
    ):
        with torch.set_grad_enabled(True):
            into, x = make()
        whole = keyed_map._replace(short=None, write=None)
        with torch.set_grad_enabled(grad):
            wanted = apply(whole, x.detach(), True, False, KEY, None, (), None)
            y = keyed_map.write(into, x, KEY, None, 0, None, *keyed_map.constants)
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
