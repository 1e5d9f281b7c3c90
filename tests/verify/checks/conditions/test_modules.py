"""What `module-state` says of a module that is another after it was copied, loaded or converted."""

import copy
import functools

import pytest
import torch

from verify.broken._common import draw, select
from verify.checks._alone import fault, put, run


class Drop(torch.nn.Module):
    """A right one, except for where it drops, `where(module, x)`, or what `after` makes of y."""

    def __init__(self, p=0.5, *, where=None, after=None):
        super().__init__()
        self.p, self.built_with, self.copied = p, (p,), False
        self.rules = where or (lambda m, x: draw(x, m.p)), after or (lambda m, x, y: y)
        self.state = torch.Generator().manual_seed(1).get_state()
        self.register_buffer("mark", torch.ones(1), persistent=False)
        self.register_buffer("held", torch.tensor(p), persistent=False)

    def __deepcopy__(self, memo):
        where, after = self.rules
        made = type(self)(self.p, where=where, after=after)
        made.copied, made.state = True, self.state
        return made

    def forward(self, x):
        where, after = self.rules
        return after(self, x, select(x, where(self, x), self.p) if self.training else x)


def own_generator(m, x):
    """It is copied with the module."""
    generator = torch.Generator()
    generator.set_state(m.state)
    u = torch.rand(x.shape, generator=generator)
    m.state = generator.get_state()
    return u < m.p


def changed(change, test):
    """What comes out is changed where a test of the module and x is met."""
    return {"after": lambda m, x, y: change(y) if test(m, x) else y}


def nine(y):
    return put(y, _0=9.0)


def is_bfloat16(m, x):
    return x.dtype == m.mark.dtype == torch.bfloat16


def is_float32_in_half(m, x):
    return m.training and (x.dtype, m.mark.dtype) == (torch.float32, torch.float16)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"where": lambda m, x: draw(x, float(m.held))}, "after half: the same seed drops "),
        (changed(lambda y: y * 1.5, is_float32_in_half), "after half, on float32: p=0.23: "),
        (changed(nine, lambda m, x: not m.training and is_bfloat16(m, x)),
         "after bfloat16: eval does not return x"),
        (changed(nine, lambda m, x: not m.training and m.copied),
         "after copy.deepcopy: eval does not return x"),
        ({"where": lambda m, x: draw(x, m.p / (1 + m.copied))}, "after half: 0.11"),
        ({"where": lambda m, x: draw(x, m.p / (1 + is_bfloat16(m, x)))}, "after bfloat16: 0.11"),
        ({"where": own_generator}, "after copy.deepcopy: the module and its copy have the same "),
        ({"after": lambda m, x, y: y * ((1 - m.p) / (1 - m.built_with[0]) if m.training else 1)},
         "after `p` was set: p=0.61: "),
    ],
)  # fmt: skip
def test_a_module_that_is_another_dropout_once_copied_changed_or_converted(wrong, message):
    found = fault("module-state", functools.partial(Drop, **wrong))
    assert found.message.startswith(message)
    if "the same seed" in message:
        assert found.message.endswith(
            f"{found.figures['differ']} of 262144 places differently: the threshold for its random "
            "numbers was rounded"
        )
        assert 0 < found.figures["differ"] < 100


def draws_one_more(m, x):
    if m.mark.dtype != torch.float32:
        torch.rand(1)
    return draw(x, m.p)


@pytest.mark.parametrize(
    "odd",
    [
        {"where": draws_one_more},  # another stream, at the same rate
        # Wrong in a dtype, converted or not: other checks report it.
        changed(lambda y: y * 1.5, lambda m, x: m.training and x.dtype == torch.float16),
    ],
)
def test_what_is_no_fault_of_a_conversion(odd):
    run("module-state", functools.partial(Drop, **odd))


class Modes(torch.nn.Module):
    """Its modes are wrong in some way, or do not reach its part in one of them."""

    def __init__(self, p=0.5, *, how):
        super().__init__()
        self.how, self.inner = how, torch.nn.Dropout(p)

    def forward(self, x):
        return self.inner(x)

    def train(self, mode=True):
        self.training = mode ^ (self.how == f"sets {not mode}")
        if self.how != f"stops {mode}":
            self.inner.train(mode)
        return None if self.how == f"returns {mode}" else self

    def eval(self):
        super().eval()
        return None if self.how == "eval" else self


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("returns True", "train(True) does not return the module"),
        ("returns False", "train(False) does not return the module"),
        ("sets True", "train(False) does not set `training`"),
        ("sets False", "train(True) does not set `training`"),
        ("eval", "eval() does not return the module"),
        ("stops True", "train(True) of a parent does not reach it"),
        ("stops False", "train(False) of a parent does not reach it"),
    ],
)
def test_modes_that_are_wrong(how, message):
    assert fault("module-state", functools.partial(Modes, how=how)).message == message


def test_a_module_is_not_changed_by_it():
    module = Drop(0.3)
    before = copy.deepcopy(vars(module))
    run("module-state", module)
    assert vars(module).keys() == before.keys()
    assert module.p == 0.3
