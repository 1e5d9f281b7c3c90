"""nn.LockedDropout: fastai's RNNDropout, or AWD-LSTM's, by its time dimension."""

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


@pytest.mark.parametrize("time_dim", [1, 0, -2])
@pytest.mark.parametrize("p", [0, 0.3, 1.0])
def test_train_is_the_function_and_eval_the_identity(p, time_dim):
    module, x = td.nn.LockedDropout(p, time_dim), torch.randn(8, 6, 5)
    y = seeded(module, x)
    assert torch.equal(y, seeded(F.locked_dropout, x, p, time_dim=time_dim))
    before = torch.get_rng_state()
    assert module.eval()(x) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_repr_state_and_copies():
    module, x = td.nn.LockedDropout(0.3, time_dim=0), torch.randn(8, 6, 5)
    assert repr(td.nn.LockedDropout()) == "LockedDropout(p=0.5, time_dim=1)"
    assert module.state_dict() == {}
    for other in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert repr(other) == repr(module) == "LockedDropout(p=0.3, time_dim=0)"
        assert torch.equal(seeded(other, x), seeded(module, x))


def test_wrong_arguments():
    with pytest.raises(ArgumentValueError, match=r"got p=1.5 \(float\)"):
        td.nn.LockedDropout(1.5)
    with pytest.raises(
        ArgumentTypeError, match=r"`time_dim` to be an integer, .* got time_dim='1'"
    ):
        td.nn.LockedDropout(0.5, "1")
    with pytest.raises(ArgumentValueError, match="of a 1-D input"):
        td.nn.LockedDropout().eval()(torch.ones(3))


def test_is_traced_and_compiled_as_one_call():
    module, x = td.nn.LockedDropout(0.3), torch.randn(8, 6, 5)
    graph = torch.fx.symbolic_trace(module)
    calls = [n.target for n in graph.graph.nodes if n.op == "call_function"]
    assert calls == [F.locked_dropout]
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert torch.equal(seeded(compiled, x), seeded(module, x))


def test_between_the_layers_of_an_lstm():
    """A dropped unit of a hidden state is dropped at all steps, and its weights learn nothing."""
    lstm = torch.nn.LSTM(4, 16, batch_first=True)
    hidden, _ = lstm(torch.randn(3, 7, 4))
    y = seeded(td.nn.LockedDropout(0.5), hidden)
    dropped = y == 0
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert 0 < dropped[:, 0].float().mean() < 1
    assert torch.equal(y[~dropped], 2 * hidden[~dropped])
