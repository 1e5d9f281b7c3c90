"""What the checks of the process and of the module say of what a call changed."""

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

    def __init__(self, p=0.5, how=""):
        super().__init__()
        self.p, self.how = p, how
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.inner = torch.nn.Dropout(p)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        if self.how == "weight":
            self.weight.data[1] += 1
        elif self.how == "p":
            self.p = 0.25
        elif self.how == "part's p":
            self.inner.p = 0.25
        elif self.how == "hook":
            self.inner.register_forward_hook(lambda *args: None)
        elif self.how == "module":
            self.add_module(f"more{self.calls}", torch.nn.Identity())
        elif self.how == "mode":
            self.training = False
            return x
        elif self.how == "eval weight" and not self.training:
            self.weight.data.mul_(2)
        elif self.how == "gradient" and x.requires_grad:
            x = x * 1
            x.register_hook(self.backward)
        return select(x, draw(x, 0.5), 0.5) if self.training else x * 1

    def backward(self, gradient):
        self.weight.data[0] = 7.0


def changes(how):
    class Target(Changes):
        def __init__(self, p=0.5):
            super().__init__(p, how)

    return Target


@pytest.mark.parametrize(
    ("how", "mode", "changed"),
    [
        ("weight", "training", ["parameter weight"]),
        ("p", "training", ["attribute p"]),
        ("part's p", "training", ["attribute inner.p"]),
        ("hook", "training", ["the number of hooks"]),
        ("module", "training", ["the number of modules"]),
        ("eval weight", "eval", ["parameter weight"]),
        ("gradient", "training", ["parameter weight"]),
        ("mode", "training", ["its mode"]),
    ],
)
def test_a_call_that_changes_its_module(how, mode, changed):
    found = fault("state-own", changes(how))
    assert found.message == f"calls in {mode} changed {', '.join(changed)}"
    assert found.figures.get("changed", changed) == changed


def test_a_module_that_stays_as_it_is():
    seen = run("state-own", changes(""))
    assert seen.message == "parameters, p, mode and hooks as before"
    assert reason("state-own", made()) == "the target is not a module"
