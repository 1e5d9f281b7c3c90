"""Attention that a module looks up by name, as those of transformers do; here with a stand-in.

The real models are in tests/peers.
"""

import copy
import pickle
import sys
import types
from typing import ClassVar

import pytest
import torch
from torch import nn

import torchdropout as td
from torchdropout.models.convert import convert


def attend(module, query, key, value, mask, dropout=0.0, **_):
    y = nn.functional.scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout)
    return y, None


def eager(module, query, key, value, mask, dropout=0.0, **_):
    weights = (query @ key.transpose(-1, -2)).softmax(-1)
    return nn.functional.dropout(weights, dropout, module.training) @ value, weights


class Interface(dict):
    __module__ = "transformers.modeling_utils"
    known: ClassVar = {"sdpa": attend}

    def __getitem__(self, name):
        return super().__getitem__(name) if name in self else self.known[name]

    @classmethod
    def register(cls, name, function):
        cls.known[name] = function

    def get_interface(self, name, default):
        return default if name == "eager" else self[name]


ALL_ATTENTION_FUNCTIONS = Interface()


class SelfAttention(nn.Module):
    def __init__(self, config, p):
        super().__init__()
        self.config, self.dropout, self.output = config, nn.Dropout(p), nn.Identity()

    def forward(self, x):
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager)
        p = self.dropout.p if self.training else 0.0
        return self.output(attention(self, x, x, x, None, dropout=p)[0])


@pytest.fixture(params=["registered", "of the file"])
def config(request, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", types.ModuleType("transformers"))
    monkeypatch.setattr(Interface, "known", {"sdpa": attend})
    ALL_ATTENTION_FUNCTIONS.clear()
    if request.param == "of the file":
        ALL_ATTENTION_FUNCTIONS["sdpa"] = lambda *args, **options: attend(*args, **options)
    return types.SimpleNamespace(_attn_implementation="sdpa")


def drawn(model, x):
    torch.manual_seed(1)
    return model.train()(x)


X = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))


def expected(x, p):
    torch.manual_seed(1)
    return td.functional.scaled_dot_product_attention(x, x, x, None, p)


def test_drops_by_ours_in_this_model_only(config):
    model, other = SelfAttention(config, 0.5), SelfAttention(config, 0.5)
    before, in_eval = drawn(other, X), other.eval()(X)
    conversion = convert(model)
    assert str(conversion).splitlines() == [
        "SelfAttention: 2 dropouts converted",
        f"  (the model): {__name__}.SelfAttention: attention -> "
        "torchdropout.functional.scaled_dot_product_attention",
        "  dropout: torch.nn.modules.dropout.Dropout -> Dropout(p=0.5, inplace=False)",
    ]
    assert torch.equal(drawn(model, X), expected(X, 0.5))
    assert torch.equal(model.eval()(X), in_eval)
    assert torch.equal(drawn(other, X), before)
    assert not torch.equal(drawn(model, X), before)
    model.dropout.p = 0.25  # as a schedule sets it
    assert torch.equal(drawn(model, X), expected(X, 0.25))
    again = convert(model)
    assert not again.changes
    assert str(again).endswith("2 already from torchdropout")

    model.dropout.p = 0.5
    assert conversion.undo() is model
    assert vars(model).keys() == vars(other).keys()
    assert torch.equal(drawn(model, X), before)


def test_is_copied_and_pickled(config):
    model = SelfAttention(config, 0.5)
    convert(model)
    want = drawn(model, X)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(drawn(other, X), want)
    # As in a process that has converted nothing.
    content = pickle.dumps(model)
    Interface.known, before = {"sdpa": attend}, ALL_ATTENTION_FUNCTIONS.copy()
    ALL_ATTENTION_FUNCTIONS.clear()
    assert not torch.equal(drawn(model, X), want)
    assert torch.equal(drawn(pickle.loads(content), X), want)
    ALL_ATTENTION_FUNCTIONS.update(before)


def test_a_dry_run_changes_nothing(config):
    model = SelfAttention(config, 0.5)
    before, names = drawn(model, X), set(vars(model))
    assert len(convert(model, dry_run=True).changes) == 2
    assert set(vars(model)) == names
    assert torch.equal(drawn(model, X), before)


def test_a_failed_call_changes_nothing(config):
    model = nn.Sequential(SelfAttention(config, 0.5), nn.Dropout(0.1))
    model[1].p = 2.0
    with pytest.raises(ValueError, match=r"got p=2\.0"):
        convert(model)
    assert set(vars(model[0])) == set(vars(SelfAttention(config, 0.5)))


def test_another_attention_is_listed(config):
    config._attn_implementation = "eager"
    (left,) = convert(SelfAttention(config, 0.5)).left
    assert "by its 'eager' function, at dropout.p; only 'sdpa' is converted" in left.why
    assert not convert(SelfAttention(config, 0.0)).left


def test_rules_come_first(config):
    model = SelfAttention(config, 0.5)
    conversion = convert(model, {SelfAttention: None})
    assert [type(change.new) for change in conversion.changes] == [td.nn.Dropout]
    assert [left.why for left in conversion.left] == ["left, as the rules say"]


@pytest.mark.integration
def test_compiles_whole(config):
    model = SelfAttention(config, 0.5)
    convert(model)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(drawn(compiled, X), drawn(model, X))
