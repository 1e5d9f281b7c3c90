"""Where a module holds its p."""

import torch

from torchdropout.verify.checks import _module


class Holds(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p, self.keep, self.other, self.count = p, 1 - p, 0.7, 1
        self.inner = torch.nn.Dropout(p)

    @property
    def fixed(self):
        return self.p


class Refuses(torch.nn.Dropout):
    def __setattr__(self, name, value):
        if name == "p" and "p" in vars(self):
            raise ValueError("p is fixed")
        super().__setattr__(name, value)


def test_p_is_held_by_floats_of_a_module_and_its_parts():
    module = Holds(0.25)
    held = list(_module.rates_held(module, 0.25))
    assert [(path, name) for path, _, name in held] == [
        ("p", "p"), ("keep", "keep"), ("inner.p", "p"),
    ]  # fmt: skip
    assert [owner for _, owner, _ in held] == [module, module, module.inner]


def test_an_integer_is_not_p():
    assert [path for path, *_ in _module.rates_held(Holds(1.0), 1.0)] == ["p", "keep", "inner.p"]


def test_p_and_its_complement_are_set_and_what_refuses_stays():
    module = Holds(0.25)
    module.refuses = Refuses(0.25)
    _module.set_rates(module, 0.25, 0.5)
    _module.set_rates(module, 0.5, 0.125)
    assert (module.p, module.keep, module.inner.p, module.other) == (0.125, 0.125, 0.125, 0.7)
    assert module.refuses.p == 0.25


def test_the_complement_is_set_to_the_complement_of_the_other():
    module = Holds(0.25)
    _module.set_rates(module, 0.25, _module.OTHER_P)
    assert (module.p, module.keep, module.inner.p) == (0.61, 1 - 0.61, 0.61)
