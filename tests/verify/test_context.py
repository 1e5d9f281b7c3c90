"""What the checks ask of a run: sizes, inputs, seeds, and calls of the target."""

import copy
from dataclasses import replace

import pytest
import torch

from torchdropout.verify.context import LEVELS, Context, Fault, describe
from torchdropout.verify.targets import resolve


def context(target=torch.nn.Dropout, level=LEVELS["standard"], **spec):
    subject = copy.copy(resolve(target))
    subject.spec = replace(subject.spec, **spec)
    return Context(subject, level, 0, 1e-6, 10)


def raises(error):
    raise error


class Unprintable(Exception):
    def __str__(self):
        raise ValueError


# As docs/power.md states them, in standard deviations of one bit; 0.3 is that of p = 0.1.
@pytest.mark.parametrize(
    ("name", "rate", "rough_rate", "correlation", "pool", "run", "zeros", "most"),
    [
        ("quick", 0.004, 0.012, 0.008, 1e6, 20, 18, 23),
        ("standard", 0.0006 / 0.3, 0.006, 0.004, 1e7, 22, 23, 27),
        ("thorough", 0.00018 / 0.3, 0.003, 0.001, 3e8, 24, 27, 30),
    ],
)
def test_a_level_says_how_small_a_fault_it_looks_for(
    name, rate, rough_rate, correlation, pool, run, zeros, most
):
    level = LEVELS[name]
    assert level.name == name
    assert level.rate == pytest.approx(rate)
    assert (level.rough_rate, level.correlation, level.pool) == (rough_rate, correlation, pool)
    assert (level.run, level.zeros, level.most) == (2.0**run, 2.0**zeros, 2.0**most)
    assert level.compiled is (name != "quick")
    assert level.strength == (3 if name == "thorough" else 2)


def test_inputs_are_the_same_in_every_run_and_those_of_the_caller():
    ctx = context()
    x = ctx.normal(64, 64)
    assert torch.equal(x, context().normal(64, 64))
    assert 0.5 <= x.abs().min() < 0.501
    assert 1.99 < x.abs().max() <= 2
    assert 0.45 < float((x > 0).float().mean()) < 0.55
    kept = x.clone()
    x.zero_()
    assert torch.equal(ctx.normal(64, 64), kept)
    ctx.normal(64, 64).zero_()
    assert torch.equal(ctx.normal(64, 64), kept)
    assert not torch.equal(ctx.normal(4096), kept.reshape(-1))
    small = context(largest=1.5).normal(64, 64).abs()
    assert 0.5 <= small.min() < 0.501
    assert 1.49 < small.max() <= 1.5


def test_seeds_depend_on_the_run_and_on_what_they_are_for():
    ctx = context()
    other = Context(ctx.subject, ctx.level, 1, 1e-6, 10)
    seeds = {ctx.derive("a"), ctx.derive("a", 1), ctx.derive("b"), other.derive("a")}
    assert len(seeds) == 4
    assert 1 << 62 < max(ctx.derive(i) for i in range(64)) < 1 << 63
    before = torch.get_rng_state()
    with ctx.seeded("a"):
        first = torch.rand(4)
    with ctx.seeded("a"):
        assert torch.equal(torch.rand(4), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_call_leaves_the_settings_of_the_process_and_uses_the_threads_of_the_caller(monkeypatch):
    seen, calls, set_threads = [], [], torch.set_num_threads
    monkeypatch.setattr(torch, "set_num_threads", lambda n: calls.append(n) or set_threads(n))

    def target(x, p, training):
        seen.append(torch.get_num_threads())
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        return x

    ctx = context(target)
    built = ctx.build(0.5)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        ctx.call(built, torch.ones(4))
        with ctx.using_threads(10):
            ctx.call(built, torch.ones(4))
        ctx.call(built, torch.ones(4))
        assert torch.get_num_threads() == 1
        calls.clear()
        with ctx.using_threads(1):
            ctx.call(built, torch.ones(4))
        assert calls == []  # they would take longer than the call
    finally:
        set_threads(before)
    assert seen == [before, 10, before, 1]
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


IN_TRAINING = r"a call at p=0\.5 in training raised "


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda x: x[:2], r"expected shape \(4,\), got \(2,\)"),
        (lambda x: x.to("meta"), "expected device cpu, got meta"),
        (lambda x: x.numpy(), "expected a tensor, got ndarray"),
        (lambda x: raises(SystemExit(3)), f"{IN_TRAINING}SystemExit: 3"),
        (lambda x: 1 / 0, f"{IN_TRAINING}ZeroDivisionError: division by zero"),
    ],
)
def test_a_result_that_is_none_is_a_finding(result, message):
    ctx = context(lambda x, p, training: result(x))
    with pytest.raises(Fault, match=message):
        ctx.call(ctx.build(0.5), torch.ones(4))


def test_what_is_kept_and_nan_is_not():
    ctx = context(lambda x, p, training: x - 1)
    built = ctx.build(0.5)
    assert ctx.kept(built, torch.tensor([1.0, 2.0])).tolist() == [False, True]
    # An inf less an inf is NaN in the sum, and neither is a NaN.
    assert ctx.kept(built, torch.tensor([torch.inf, -torch.inf])).tolist() == [True, True]
    with pytest.raises(Fault, match=r"p=0\.5: 2 of 3 values are NaN") as caught:
        ctx.kept(built, torch.tensor([1.0, torch.nan, torch.nan]))
    assert caught.value.figures == {"p": 0.5}


def test_what_building_or_a_call_in_eval_raises_is_a_finding():
    def target(x, p, training):
        return x if training else raises(ValueError("v"))

    ctx = context(target)
    with pytest.raises(Fault, match=r"^a call at p=0\.5 in eval raised ValueError: v$") as caught:
        ctx.call(ctx.build(0.5), torch.ones(4), training=False)
    assert caught.value.figures == {"exception": "ValueError: v"}
    with pytest.raises(Fault, match=r"^building it at p=7 raised "):
        context(torch.nn.Dropout).build(7)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a\nb"), "ValueError: a"),
        (ValueError("  "), "ValueError"),
        (ValueError("x" * 160), f"ValueError: {'x' * 160}"),
        (ValueError("x" * 161), f"ValueError: {'x' * 157}..."),
        (RuntimeError("failed in the TorchScript interpreter.\nTrace\nRuntimeError: z"),
         "RuntimeError: RuntimeError: z"),
        (Unprintable(), "Unprintable"),
    ],
)  # fmt: skip
def test_an_exception_in_a_line(error, text):
    assert describe(error) == text
