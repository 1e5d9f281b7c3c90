"""Every function and module of this library in a scope: the draws of the whole, for its parts."""

import pytest
import torch

import torchdropout as td
from keyed_parts import FUNCTIONS, MODULES, ROUNDED, Calls, X, assert_parts, drawn, input_of
from torchdropout import functional as F
from torchdropout import nn

FORMS = {
    "rates": lambda x: F.dropout(x, torch.linspace(0.1, 0.8, 12)),
    "a rate for each sample": lambda x: F.dropout(x, torch.full((len(x), 1, 1), 0.3)),
    "shared by samples": lambda x: F.dropout(x, 0.4, broadcast_dims=(0,)),
    "shared by positions": lambda x: F.dropout(x, 0.4, broadcast_dims=(1,)),
    "out": lambda x: F.dropout(x, 0.4, out=torch.empty_like(x)),
    "in place": lambda x: F.dropout(x * 1, 0.4, inplace=True),
    "time first": lambda x: F.dropout(x.transpose(0, 1), 0.4).transpose(0, 1),
    "windows": lambda x: F.dropout(x.reshape(-1, 3, 12), 0.4).view(-1, 6, 12),
}


def test_all_functions():
    own = {name for name in vars(F) if not name.startswith("_") and callable(getattr(F, name))}
    assert own == set(FUNCTIONS), "tests/keyed_parts.py: FUNCTIONS"


@pytest.mark.parametrize("name", [*FUNCTIONS, *FORMS])
def test_functions(name):
    assert_parts(Calls({**FUNCTIONS, **FORMS}[name]), X, exact=name not in ROUNDED)


def test_all_modules():
    own = {n for n, v in vars(nn).items() if isinstance(v, type)}
    tried = {type(module).__name__ for make, _ in MODULES.values() for module in make().modules()}
    assert own - tried == set(), "tests/keyed_parts.py: MODULES"


@pytest.mark.parametrize("name", MODULES)
def test_modules(name):
    torch.manual_seed(0)
    make, call = MODULES[name]
    assert_parts(Calls(call, make()), input_of(name), exact=False)


def test_a_key_of_the_call_takes_precedence():
    """A mask that is named stays that mask."""
    key = td.Key(3)
    for call in (
        lambda x: F.dropout(x, 0.4, key=key),
        lambda x: F.zoneout(x, 0 * x, 0.4, key=key),
        lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.4, dropout_key=key),
        lambda x: x * F.keep_mask(x.shape, 0.4, key=key),
        lambda x: F.dropout(x, 0.4, key=key, layout=td.MaskLayout.of((16, 6, 12)).at((8, 0, 0))),
    ):
        assert torch.equal(drawn(Calls(call), X), call(X))


def test_eval_draws_nothing():
    model = torch.nn.Sequential(nn.Dropout(0.5), torch.nn.Dropout(0.5), nn.DropPath(0.5)).eval()
    assert torch.equal(drawn(model, X), X)
