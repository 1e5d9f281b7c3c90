"""What `module-state` says of a module that is another after it was copied, loaded or converted."""

import copy
import functools

import pytest
import torch

from verify.broken._common import draw, select
from verify.checks._alone import fault, put, run


class Drop(torch.nn.Module):
    """A right one, to be changed."""

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return select(x, self.where(x), self.p) if self.training else self.evaluate(x)

    def where(self, x):
        return draw(x, self.p)

    def evaluate(self, x):
        return x


class Cut(Drop):
    """A copy has another scale, eval or mask."""

    def __init__(self, p=0.5, rule=None):
        super().__init__(p)
        self.copied, self.rule = False, rule

    def __deepcopy__(self, memo):
        found = type(self)(self.p)
        found.copied = True
        return found


class EvalCopy(Cut):
    def evaluate(self, x):
        return put(x, _0=9.0) if self.copied else x


class RareCopy(Cut):
    def where(self, x):
        return draw(x, self.p / 2 if self.copied else self.p)


class OwnGenerator(Drop):
    """Its generator is copied with it."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.state = torch.Generator().manual_seed(1).get_state()

    def where(self, x):
        generator = torch.Generator()
        generator.set_state(self.state)
        u = torch.rand(x.shape, generator=generator)
        self.state = generator.get_state()
        return u < self.p


class OldScale(Drop):
    def __init__(self, p=0.5):
        super().__init__(p)
        self.scale = (1 / (1 - p),)

    def forward(self, x):
        return x.masked_fill(self.where(x), 0) * self.scale[0] if self.training else x


class OfDtype(Drop):
    """It is wrong once a buffer of it was converted."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.register_buffer("mark", torch.ones(1), persistent=False)


class RoundedP(OfDtype):
    def __init__(self, p=0.5):
        super().__init__(p)
        self.register_buffer("held", torch.tensor(p))

    def forward(self, x):
        return select(x, draw(x, float(self.held)), self.p) if self.training else x


class HalfOut(OfDtype):
    def evaluate(self, x):
        return put(x, _0=9.0) if x.dtype == self.mark.dtype == torch.bfloat16 else x


class ScaleOfMark(OfDtype):
    def forward(self, x):
        y = super().forward(x)
        is_wrong = self.training and x.dtype == torch.float32 and self.mark.dtype == torch.float16
        return y * 1.5 if is_wrong else y


class FewerInHalf(OfDtype):
    def where(self, x):
        p = self.p / 2 if x.dtype == self.mark.dtype == torch.bfloat16 else self.p
        return draw(x, p)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (RoundedP, "after half: the same seed drops "),
        (ScaleOfMark, "after half, on float32: p=0.23: "),
        (HalfOut, "after bfloat16: eval does not return x"),
        (EvalCopy, "after copy.deepcopy: eval does not return x"),
        (RareCopy, "after half: 0.11"),
        (OwnGenerator, "after copy.deepcopy: the module and its copy have the same masks"),
        (OldScale, "after `p` was set: p=0.61: "),
        (FewerInHalf, "after bfloat16: 0.11"),
    ],
)
def test_a_module_that_is_another_dropout_once_copied_changed_or_converted(target, message):
    assert fault("module-state", target).message.startswith(message)


def test_a_threshold_that_was_rounded_is_told_with_its_places():
    found = fault("module-state", RoundedP)
    assert found.message.endswith(
        f"{found.figures['differ']} of 262144 places differently: the threshold for its random "
        "numbers was rounded"
    )
    assert 0 < found.figures["differ"] < 100
    assert found.figures["n"] == 262144


class OtherDraws(OfDtype):
    """After a conversion it draws from another stream, at the same rate."""

    def where(self, x):
        if self.mark.dtype != torch.float32:
            torch.rand(1)
        return draw(x, self.p)


class WrongInHalf(Drop):
    """It is wrong in a dtype, converted or not: other checks report it."""

    def forward(self, x):
        y = super().forward(x)
        return y * 1.5 if self.training and x.dtype == torch.float16 else y


@pytest.mark.parametrize("target", [OtherDraws, WrongInHalf])
def test_what_is_no_fault_of_a_conversion(target):
    run("module-state", target)


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
