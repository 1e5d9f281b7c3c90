"""nn.Zoneout: p and the mode, around functional.zoneout."""

import copy
import pickle

import pytest
import torch

import torchdropout as td
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError


def seeded(function, *args, **kwargs):
    torch.manual_seed(3)
    return function(*args, **kwargs)


@pytest.mark.parametrize("p", [0, 0.3, 1.0])
def test_is_the_function(p):
    module, new, old = td.nn.Zoneout(p), torch.randn(6, 5), torch.randn(6, 5)
    assert torch.equal(seeded(module, new, old), seeded(F.zoneout, new, old, p))
    before = torch.get_rng_state()
    assert torch.equal(module.eval()(new, old), F.zoneout(new, old, p, training=False))
    assert torch.equal(torch.get_rng_state(), before)


def test_state_repr_and_copies():
    module, new, old = td.nn.Zoneout(0.3), torch.randn(6, 5), torch.randn(6, 5)
    assert repr(td.nn.Zoneout()) == "Zoneout(p=0.5)"
    assert module.state_dict() == {}
    for other in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert repr(other) == repr(module) == "Zoneout(p=0.3)"
        assert torch.equal(seeded(other, new, old), seeded(module, new, old))


def test_wrong_arguments():
    with pytest.raises(ArgumentValueError, match=r"got p=-0.1 \(float\)"):
        td.nn.Zoneout(-0.1)
    module = td.nn.Zoneout()
    with pytest.raises(ArgumentTypeError, match="`old` to be a tensor"):
        module(torch.ones(3), None)
    vars(module)["p"] = "0.5"
    with pytest.raises(ArgumentTypeError, match=r"got p='0.5' \(str\)"):
        module.eval()(torch.ones(3), torch.ones(3))


def test_over_the_steps_of_a_cell():
    """At p = 1 the state is always old, at p = 0 the cell's; in between a unit is one of both."""
    cell, xs = torch.nn.GRUCell(4, 8), torch.randn(5, 3, 4)

    def run(p):
        zoneout, h = td.nn.Zoneout(p), torch.zeros(3, 8)
        for x in xs:
            new = cell(x, h)
            after = zoneout(new, h)
            assert ((after == new) | (after == h)).all()
            h = after
        return h

    assert not run(1.0).any()
    expected = torch.nn.GRU(4, 8)
    for name, value in cell.named_parameters():
        setattr(expected, f"{name}_l0", value)
    torch.testing.assert_close(run(0.0), expected(xs)[1][0])


def test_compiles_in_one_graph():
    module, new, old = td.nn.Zoneout(0.3), torch.randn(6, 5), torch.randn(6, 5)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert torch.equal(seeded(compiled, new, old), seeded(module, new, old))
