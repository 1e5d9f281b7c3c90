"""Whatever a target does, the run ends with a report and restores the state of the process."""

import contextlib
import random
import signal
import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.nn.modules import module as modules

from torchdropout._tools.process_state import HOOKS, MODES, PROCESS, ProcessState, generators
from torchdropout.verify import check_subject
from torchdropout.verify.runner import codes_of
from torchdropout.verify.specs import PLAIN
from torchdropout.verify.targets import resolve
from verify._zoo import TINY
from verify.broken._common import custom_gradient


@pytest.fixture
def run_checks():
    """`(target, **options)`: the report of a run at this level."""
    return lambda target, **options: check_subject(resolve(target), level=TINY, **options)


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


class Hostile:
    """Not a tensor, and it fails whatever is asked of it."""

    def __getattribute__(self, name):
        raise RuntimeError(f"no {name}")


class Odd(torch.Tensor):
    """A subclass whose comparisons fail."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function in (torch.Tensor.__ne__, torch.Tensor.ne, torch.isnan):
            raise ArithmeticError("not comparable")
        return super().__torch_function__(function, types, args, kwargs or {})


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
    "nan": returning(lambda x: x * float("nan")),
    "integers": returning(lambda x: x.detach().nan_to_num().clamp(-9, 9).long()),
    "zeros": returning(torch.zeros_like),
    "meta": returning(lambda x: x.to("meta")),
    "a list of numbers": returning(lambda x: x.detach().tolist()),
    "nothing": returning(lambda x: x.new_empty(0)),
    "quantised": returning(
        lambda x: torch.quantize_per_tensor(x.detach().float(), 0.1, 10, torch.quint8)
    ),
    "hostile": returning(lambda x: Hostile()),
    "odd": returning(lambda x: F.dropout(x).as_subclass(Odd)),
    "parameter": returning(lambda x: torch.nn.Parameter(F.dropout(x).detach())),
    "transposed": returning(lambda x: F.dropout(x).transpose(0, -1) if x.ndim else x),
    "sometimes": returning(lambda x: F.dropout(x) if random.random() < 0.5 else None),
    "system exit": raising(SystemExit(3)),
    "base exception": raising(BaseException("no")),
    "unprintable": raising(Unprintable()),
    "assertion": raising(AssertionError("x" * 10_000)),
    "recursion": recurse,
}


@pytest.mark.parametrize("target", GARBAGE.values(), ids=list(GARBAGE))
def test_garbage_gives_findings_and_no_crash(target, run_checks):
    report = run_checks(target)
    assert not report.interrupted
    assert not report.passed
    assert len(report.checks) == len(codes_of(None, PLAIN))
    assert all(len(finding.message) < 400 for finding in report.findings)
    # Nothing that is built on a garbage output is checked: the report does not echo.
    if report.findings[0].name == "output-shape":
        statuses = [check.status for check in report.checks if check.rule.group != "construction"]
        assert statuses.count("fail") == 1


def test_an_exception_in_backward_is_a_finding(run_checks):
    @custom_gradient
    def dropout(g, x, y, drop, scale):
        raise ArithmeticError("backward is not done yet")

    finding = run_checks(dropout).findings[0]
    assert finding.name == "grad-mask"
    assert "ArithmeticError: backward is not done yet" in finding.message


def vandal(x, p, training):
    """Right, but changes what it can reach."""
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    return F.dropout(x, p, training)


HELD = []


def enter(context):
    """Enters a context and never leaves it."""
    context.__enter__()
    HELD.append(context)


def count_calls(*_):
    """A hook, a handler."""


# Some; `tests/_tools/test_process_state.py` has all.
MISCHIEF = {
    "default dtype": lambda: torch.set_default_dtype(torch.float16),
    "device mode": lambda: enter(torch.device("meta")),
    "torch generator": lambda: torch.manual_seed(0),
    "warnings filters": lambda: warnings.simplefilter("always"),
    # Not `SIG_IGN`, which is what a job in the background already has.
    "interrupt handler": lambda: signal.signal(signal.SIGINT, count_calls),
    "hooks cleared": lambda: modules._global_forward_hooks.clear(),
}


class State:
    """What a run must leave as it was."""

    def __init__(self):
        self.parts = ProcessState([*MODES, *PROCESS, *HOOKS, *generators(np)])
        self.warnings = warnings.filters[:], warnings.showwarning

    def changes(self):
        mine = [] if self.warnings == (warnings.filters, warnings.showwarning) else ["warnings"]
        return [*self.parts.changed(), *self.parts.drawn(), *mine]


@contextlib.contextmanager
def unchanged():
    """The generators are in a state of their own before, and the process is the same after."""
    torch.manual_seed(123)
    np.random.seed(123)
    random.seed(123)
    torch.rand(7)
    handle = modules.register_module_forward_hook(count_calls)  # the caller's own
    try:
        before = State()
        yield
        assert before.changes() == []
    finally:
        handle.remove()


@pytest.mark.integration
@pytest.mark.parametrize("name", ["good", "vandal", "system exit", "recursion", "nan"])
def test_the_state_of_the_process_is_restored(name, run_checks):
    with unchanged():
        run_checks({"good": F.dropout, "vandal": vandal}.get(name) or GARBAGE[name])


FAST = frozenset(["output-shape", "empty-input", "wrong-p-refused"])


@pytest.mark.parametrize("name", MISCHIEF)
def test_what_a_target_changes_is_put_back_after_each_check(name, run_checks):
    states = []

    def begins(i, total, rule):
        states.append(State())
        assert states[0].changes() == []

    def dropout(x, p, training):
        MISCHIEF[name]()
        return F.dropout(x, p, training)

    with unchanged():
        run_checks(dropout, progress=begins, only=FAST)
    assert len(states) == len(FAST)


def test_a_module_that_changes_itself_is_verified_as_a_copy(run_checks):
    class Fading(torch.nn.Dropout):
        def forward(self, x):
            self.p = self.p * 0.9
            self.register_forward_hook(count_calls)
            self.register_buffer("last", x)
            return super().forward(x)

    module = Fading(0.3)
    assert not run_checks(module).passed
    assert module.p == 0.3
    assert len(module._forward_hooks) == 0
    assert not hasattr(module, "last")


@pytest.mark.parametrize("error", [LookupError("the terminal is gone"), KeyboardInterrupt()])
def test_the_state_of_the_process_is_restored_after_an_error_in_progress(run_checks, error):
    def fail(i, total, rule):
        if i == 9:
            raise error

    is_ctrl_c = isinstance(error, KeyboardInterrupt)  # which ends the run with what was done
    with unchanged(), contextlib.nullcontext() if is_ctrl_c else pytest.raises(LookupError):
        run_checks(vandal, progress=fail)


@contextlib.contextmanager
def default_float64():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.integration
@pytest.mark.parametrize(
    "mode", [torch.inference_mode, lambda: torch.device("meta"), default_float64]
)
def test_the_callers_modes_do_not_matter_and_stay(mode, run_checks):
    with mode():
        before = State()
        report = run_checks(torch.nn.Dropout)
        assert before.changes() == []
    assert report.passed


@pytest.mark.integration
def test_an_instance_keeps_its_mode_its_state_and_its_last_mask(run_checks, correct_zoo):
    module = correct_zoo["Stateful"](0.3).eval()
    module.last = "mine"
    assert run_checks(module).passed
    assert not module.training
    assert not module.inner.training
    assert (int(module.calls), module.last) == (0, "mine")
