"""Whatever a target does, the run ends with a report and leaves the caller's world alone."""

import random
import sys
import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from torchdropout.verify import CHECKS


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


def recurse(x, p, training):
    return recurse(x, p, training)


def raising(error):
    def dropout(x, p, training):
        raise error

    return dropout


def returning(make):
    def dropout(x, p, training):
        return make(x)

    return dropout


GARBAGE = {
    "none": returning(lambda x: None),
    "a number": returning(lambda x: 1.0),
    "an array": returning(lambda x: x.detach().numpy()),
    "a tuple": returning(lambda x: (x, x)),
    "too few axes": returning(lambda x: x.sum()),
    "nan": returning(lambda x: x * float("nan")),
    "bool": returning(lambda x: x > 0),
    "integers": returning(lambda x: x.detach().nan_to_num().clamp(-9, 9).long()),
    "complex": returning(lambda x: x * 1j),
    "zeros": returning(torch.zeros_like),
    "constants": returning(lambda x: torch.full_like(x, 7.0)),
    "meta": returning(lambda x: x.to("meta")),
    "sparse": returning(lambda x: x.detach().to_sparse()),
    "detached": returning(lambda x: F.dropout(x.detach(), 0.5)),
    "value error": raising(ValueError("no")),
    "system exit": raising(SystemExit(3)),
    "generator exit from outside": raising(StopIteration()),
    "memory error": raising(MemoryError()),
    "unprintable": raising(Unprintable()),
    "assertion": raising(AssertionError("x" * 10_000)),
    "recursion": recurse,
}


@pytest.mark.parametrize("target", GARBAGE.values(), ids=list(GARBAGE))
def test_garbage_gives_findings_and_no_crash(target, judge):
    report = judge(target)
    assert report.complete
    assert not report.passed
    assert len(report.checks) == len(CHECKS)
    assert all(len(finding.message) < 400 for finding in report.findings)
    # Nothing that is built on a garbage output is judged: the report does not echo.
    if report.findings[0].name == "output-shape":
        statuses = [check.status for check in report.checks if check.rule.group != "construction"]
        assert statuses.count("fail") == 1


def test_an_exception_is_named(judge):
    finding = judge(GARBAGE["value error"]).findings[0]
    assert finding.name == "output-shape"
    assert "ValueError: no" in finding.message
    assert finding.figures["exception"] == "ValueError: no"


def test_system_exit_in_a_constructor_is_a_finding(judge):
    class Leaving(torch.nn.Dropout):
        def __init__(self, p=0.5):
            super().__init__(p)
            if p not in (0.5,):
                sys.exit(1)

    report = judge(Leaving)
    assert report.complete
    assert "SystemExit" in report.findings[0].message


def test_an_exception_in_backward_is_a_finding(judge):
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, p):
            return F.dropout(x, p)

        @staticmethod
        def backward(ctx, g):
            raise ArithmeticError("backward is not done yet")

    def dropout(x, p, training):
        return Function.apply(x, p) if training else x

    finding = judge(dropout).findings[0]
    assert finding.name == "grad-mask"
    assert "ArithmeticError: backward is not done yet" in finding.message


def test_a_target_that_warns_is_not_accused_for_it(judge):
    def dropout(x, p, training):
        warnings.warn("this dropout is deprecated", stacklevel=1)
        return F.dropout(x, p, training)

    assert judge(dropout).passed


def vandal(x, p, training):
    """Right, but changes what it can reach."""
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    return F.dropout(x, p, training)


class World:
    """What a run must leave as it was."""

    def __init__(self):
        self.state = (
            torch.random.get_rng_state().tolist(),
            repr(np.random.get_state(legacy=False)),
            np.random.get_state()[1].tolist(),
            random.getstate(),
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            warnings.filters[:],
        )


@pytest.fixture
def unchanged():
    """The generators are in a state of their own before, and the world is the same after."""
    torch.manual_seed(123)
    np.random.seed(123)
    random.seed(123)
    torch.rand(7)
    before = World().state
    yield
    assert before == World().state


@pytest.mark.parametrize("name", ["good", "vandal", "system exit", "recursion", "nan"])
def test_the_world_is_as_before(name, judge, unchanged):
    judge({"good": F.dropout, "vandal": vandal}.get(name) or GARBAGE[name])


def test_the_world_is_as_before_after_ctrl_c(judge, unchanged):
    def interrupt(i, total, rule):
        if i == 9:
            raise KeyboardInterrupt

    judge(vandal, progress=interrupt)


def test_the_world_is_as_before_after_an_error_in_progress(judge, unchanged):
    def fail(i, total, rule):
        if i == 9:
            raise LookupError("the terminal is gone")

    with pytest.raises(LookupError):
        judge(vandal, progress=fail)


@pytest.mark.parametrize(
    "mode",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.device("cpu"),
        lambda: torch.device("meta"),
    ],
    ids=["no_grad", "inference_mode", "cpu", "meta"],
)
def test_the_callers_modes_do_not_matter_and_stay(mode, judge):
    with mode():
        before = World().state
        report = judge(torch.nn.Dropout)
        assert before == World().state
    assert report.passed


def test_the_callers_default_dtype_does_not_matter_and_stays(judge):
    torch.set_default_dtype(torch.float64)
    try:
        report = judge(torch.nn.Dropout)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert report.passed


def test_an_instance_keeps_its_mode_its_state_and_its_last_mask(judge, correct_zoo):
    module = correct_zoo["Stateful"](0.3).eval()
    module.last = "mine"
    assert judge(module).passed
    assert not module.training
    assert not module.inner.training
    assert (int(module.calls), module.last) == (0, "mine")
