"""What the checks of the process and of the module say of what a call changed."""

import functools
import warnings

import pytest
import torch

from verify.broken._common import draw, select
from verify.checks._alone import fault, made, reason, run


@pytest.mark.parametrize("mode", ["training", "eval"])
def test_a_call_that_changes_the_process(mode):
    def change(x, p):
        torch.set_default_dtype(torch.float64)
        warnings.simplefilter("ignore")
        return x

    with warnings.catch_warnings():
        target = made(**{"training" if mode == "training" else "evaluation": change})
        found = fault("state-restored", target)
    assert found.message.startswith(f"a call in {mode} changed ")
    assert "dtype" in found.message
    assert "the warning filters" in found.message
    assert list(dict.fromkeys(found.figures["changed"])) == (
        found.message.removeprefix(f"a call in {mode} changed ").split(", ")
    )
    assert torch.get_default_dtype() == torch.float32


class Changes(torch.nn.Module):
    """Its calls change something of it."""

    def __init__(self, p=0.5, *, change):
        super().__init__()
        self.p, self.change = p, change
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.inner = torch.nn.Dropout(p)

    def forward(self, x):
        was_training, y = self.training, x * 1
        self.change(self, y)
        return select(y, draw(y, 0.5), 0.5) if was_training else y


def leaves_a_hook(m, y):
    m.inner.register_forward_hook(lambda *args: None)


def doubles_in_eval(m, y):
    if not m.training:
        m.weight.data.mul_(2)


def doubles_in_backward(m, y):
    def double(gradient):
        m.weight.data.mul_(2)

    if y.requires_grad:
        y.register_hook(double)


@pytest.mark.parametrize(
    ("change", "mode", "changed"),
    [
        (lambda m, y: m.weight.data[1].add_(1), "training", ["parameter weight"]),
        (lambda m, y: setattr(m, "p", 0.25), "training", ["attribute p"]),
        (lambda m, y: setattr(m.inner, "p", 0.25), "training", ["attribute inner.p"]),
        (leaves_a_hook, "training", ["the number of hooks"]),
        (
            lambda m, y: m.add_module("more", torch.nn.Identity()),
            "training",
            ["the number of modules"],
        ),
        (doubles_in_eval, "eval", ["parameter weight"]),
        (doubles_in_backward, "training", ["parameter weight"]),
        (lambda m, y: m.train(False), "training", ["its mode"]),
    ],
)
def test_a_call_that_changes_its_module(change, mode, changed):
    found = fault("state-own", functools.partial(Changes, change=change))
    assert found.message == f"calls in {mode} changed {', '.join(changed)}"
    assert found.figures.get("changed", changed) == changed


def test_a_module_that_stays_as_it_is():
    seen = run("state-own", functools.partial(Changes, change=lambda m, y: None))
    assert seen.message == "parameters, p, mode and hooks as before"
    assert reason("state-own", made()) == "the target is not a module"
