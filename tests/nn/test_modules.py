"""The six modules as drop-ins for torch's: what torch's own dropout tests state, and more."""

import functools
import inspect
import pickle
import sys

import pytest
import torch

import torchdropout as td
from torchdropout.errors import ArgumentValueError
from torchdropout.nn import _module
from variants import MODULES, keyed, seeded

EMBEDDING = torch.nn.Embedding(3, 2)
ALSO_NAMED = {
    "drop_prob": [td.nn.DropPath, td.nn.DropBlock1d, td.nn.DropBlock2d, td.nn.DropBlock3d],
    "prob": [td.nn.TokenDropout],
    "embed_p": [functools.partial(td.nn.EmbeddingDropout, EMBEDDING)],
}


@pytest.mark.parametrize(("alias", "make"), [(a, m) for a, all in ALSO_NAMED.items() for m in all])
def test_the_name_that_another_library_gives_p(alias, make):
    module = make(**{alias: 0.25})
    assert repr(module) == repr(make(p=0.25)) == repr(make(0.25))
    assert getattr(module, alias) == module.p == 0.25
    setattr(module, alias, torch.tensor(0.5))
    assert module.p == 0.5
    assert torch.equal(module._rate.constants, make(0.5)._rate.constants)
    copied = pickle.loads(pickle.dumps(module))
    assert getattr(copied, alias) == 0.5
    assert make(**{alias: None}).p == make().p
    assert inspect.signature(make).parameters[alias].kind is inspect.Parameter.KEYWORD_ONLY
    for args, kwargs in (((0.0,), {}), ((), {"p": 0.0})):
        with pytest.raises(ArgumentValueError, match=f"`p` or `{alias}`.* p=0.0 .*{alias}=0.25"):
            make(*args, **kwargs, **{alias: 0.25})
    for put in (lambda p: make(**{alias: p}), lambda p: setattr(module, alias, p)):
        with pytest.raises(ArgumentValueError, match=rf"`{alias}` to be in .* {alias}=1.5"):
            put(1.5)
    assert module.p == 0.5


@pytest.mark.parametrize("name", ["Dropout1d", "Dropout3d"])
def test_no_batch_dimension(name):
    x = torch.rand({"Dropout1d": (50, 2), "Dropout3d": (50, 2, 2, 2)}[name])
    for inplace in (True, False):
        module = getattr(td.nn, name)(0.5, inplace)
        batched = seeded(module, x.clone().unsqueeze(0)).squeeze(0)
        assert torch.equal(seeded(module, x.clone()), batched)


OF_A_GRAPH = [
    name
    for name, m in MODULES.items()
    if isinstance(m.built(), _module.RateModule)
    and not name.startswith(("TokenDropout", "DropoutAdd"))  # read it otherwise
]


@pytest.mark.parametrize("name", OF_A_GRAPH)
def test_a_graph_reads_the_rate_from_a_tensor(monkeypatch, name):
    """Without a compiler, which test_compile.py has, and where there is no such tensor."""
    module, tensors = MODULES[name].built(), MODULES[name].tensors()
    expected = keyed(module, tensors)
    home = sys.modules[type(module).__module__]
    monkeypatch.setattr(home, "is_dynamo_compiling", lambda: True)
    assert torch.equal(keyed(module, tensors), expected)
    assert module._traced_rate() is module._rate
    vars(module)["_rate"] = None  # as under a mode that makes no real tensors
    assert torch.equal(keyed(module, tensors), expected)
