"""What the checks ask of a run: sizes, inputs, seeds, and calls of the target."""

import copy
from dataclasses import replace

import pytest
import torch

from torchdropout.verify.context import LEVELS, Context, Fault, Skip, describe
from torchdropout.verify.targets import resolve

TINY = replace(LEVELS["quick"], most=1 << 14)


def context(target=torch.nn.Dropout, level=LEVELS["standard"], **spec):
    subject = copy.copy(resolve(target))
    subject.spec = replace(subject.spec, **spec)
    return Context(subject, level, 0, 1e-6, 10)


class Unprintable(Exception):
    def __str__(self):
        raise ValueError


def test_only_the_first_level_leaves_out_what_repeats():
    assert [level.is_quick for level in LEVELS.values()] == [True, False, False]


@pytest.mark.parametrize(
    ("cost", "draws", "chunk", "most"),
    [
        (1, 1 << 20, 1 << 20, 1 << 27),
        (4, 1 << 20, 1 << 18, 1 << 25),
        (5, (1 << 22) // 5, 1 << 17, (1 << 27) // 5),
        (1 << 13, 512, 1 << 12, 1 << 14),
        (1 << 18, 256, 1 << 12, 1 << 10),
    ],
)
def test_a_costly_kind_is_called_on_less(cost, draws, chunk, most):
    ctx = context(cost=cost)
    assert (ctx.draws(1 << 20), ctx.chunk, ctx.most) == (draws, chunk, most)


def test_sizes_are_limited_and_whole_multiples():
    assert context(level=TINY).chunk == TINY.most
    assert context(level=TINY).size(0.5, 1e-6, 1e-6) == TINY.most
    assert context(level=TINY).size(0.5, 1e-6, 1e-6, 1000) == 17_000
    assert context(level=TINY, multiple=6).size(0.5, 1e-6, 1e-6, 4) == 16_392  # 12 * 1366


def test_masks_that_may_be_equal_by_chance_are_too_small():
    ctx = context(level=TINY)
    assert ctx.telling_size(0.5) == 256
    # (0.01**2 + 0.99**2) ** size is below a false alarm of 1e-10.
    assert ctx.telling_size(0.01) == 1152
    with pytest.raises(Skip, match=r"p=0\.0001 is too near 0 or 1"):
        ctx.telling_size(0.0001)


def test_the_p_of_an_instance_is_the_only_one():
    assert context(torch.nn.Dropout(0.3)).grid == (0.3,)
    assert context(torch.nn.Dropout(0.3)).main_p == 0.3
    assert context().main_p == 0.5
    for p in (0.0, 1.0):
        with pytest.raises(Skip, match=f"the instance has p={p:g}: nothing is random"):
            _ = context(torch.nn.Dropout(p)).grid


def test_a_p_whose_rate_is_wrong_is_not_looked_at_again():
    ctx = context()
    assert ctx.sound_p == 0.5
    ctx.bad_rates.add(0.1)
    assert ctx.sound_p == 0.5
    ctx.bad_rates.add(0.5)
    with pytest.raises(Skip, match=r"the rate at p=0\.5 is wrong, see drop-rate"):
        _ = ctx.sound_p


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


def test_seeds_depend_on_the_run_and_on_what_they_are_for():
    ctx = context()
    other = Context(ctx.subject, ctx.level, 1, 1e-6, 10)
    seeds = {ctx.derive("a"), ctx.derive("a", 1), ctx.derive("b"), other.derive("a")}
    assert len(seeds) == 4
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    before = torch.get_rng_state()
    with ctx.seeded("a"):
        first = torch.rand(4)
    with ctx.seeded("a"):
        assert torch.equal(torch.rand(4), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_call_leaves_the_settings_of_the_process_and_uses_the_threads_of_the_caller():
    seen = []

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
        with ctx.using_threads(2):
            ctx.call(built, torch.ones(4))
        ctx.call(built, torch.ones(4))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert seen == [before, 2, before]
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda x: x[:2], r"expected shape \(4,\), got \(2,\)"),
        (lambda x: x.to("meta"), "expected device cpu, got meta"),
        (lambda x: x.numpy(), "expected a tensor, got ndarray"),
        (
            lambda x: 1 / 0,
            r"a call at p=0\.5 in training raised ZeroDivisionError: division by zero",
        ),
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


def test_what_is_dropped_is_counted_over_calls():
    sizes = []

    def target(x, p, training):
        sizes.append((x.numel(), x.dtype))
        return x.index_fill_(0, torch.arange(3), 0)

    ctx = context(target, TINY)
    assert ctx.count_dropped(ctx.build(0.5), (2 << 14) + 5) == 9
    assert sizes == [(1 << 14, torch.float32), (1 << 14, torch.float32), (5, torch.float32)]


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
