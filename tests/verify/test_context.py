"""What the checks ask of a run: sizes, inputs, seeds, and calls of the target."""

import copy
from dataclasses import replace

import pytest
import torch

from torchdropout.verify import stats
from torchdropout.verify.context import (
    LEVELS,
    Check,
    Context,
    Fault,
    Seen,
    Skip,
    check,
    describe,
    outcome,
    worst_first,
)
from torchdropout.verify.specs import PLAIN, Elementwise
from torchdropout.verify.targets import resolve

TINY = replace(LEVELS["quick"], most=1 << 14)


def context(target=torch.nn.Dropout, level=LEVELS["standard"], **spec):
    subject = copy.copy(resolve(target))
    subject.spec = replace(subject.spec, **spec)
    return Context(subject, level, 0, 1e-6, 10)


def raises(error):
    raise error


class Unprintable(Exception):
    def __str__(self):
        raise ValueError


def test_only_the_first_level_leaves_out_what_repeats():
    assert [level.is_quick for level in LEVELS.values()] == [True, False, False]
    assert replace(LEVELS["standard"], most=1 << 23).is_quick
    assert not replace(LEVELS["standard"], most=(1 << 23) + 1).is_quick


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
    assert context(level=replace(TINY, most=1025)).size(0.5, 1e-6, 1e-6) == 1025
    assert context(level=TINY).size(0.5, 1e-6, 1e-6, 1000) == 17_000
    assert context(level=TINY, multiple=6).size(0.5, 1e-6, 1e-6, 4) == 16_392  # 12 * 1366


def test_masks_that_may_be_equal_by_chance_are_too_small():
    ctx = context(level=TINY)
    assert ctx.telling_size(0.5) == 256
    # (0.01**2 + 0.99**2) ** size is below a false alarm of 1e-10.
    assert ctx.telling_size(0.01) == 1152
    with pytest.raises(Skip, match=r"p=0\.0001 is too near 0 or 1"):
        ctx.telling_size(0.0001)


def test_more_pairs_of_masks_need_more_bits():
    ctx = context()
    assert ctx.telling_size(0.01, 2.0**40) == stats.bits_to_tell(0.01, 2.0**40, 1e-10)
    most = replace(TINY, most=1 << 10)
    exactly = context(level=replace(most, most=1152))
    assert exactly.telling_size(0.01) == 1152
    with pytest.raises(Skip):
        context(level=replace(most, most=1151)).telling_size(0.01)


def test_the_false_alarm_rate_is_shared_and_a_hundredth_is_for_coincidences():
    ctx = context()
    assert ctx.share == pytest.approx(0.99e-7)
    assert ctx.coincidence == pytest.approx(1e-10)
    family = ctx.family(3)
    assert (family.alpha, family.size, family.tests) == (ctx.share, 3, [])


def test_a_rate_may_be_off_by_the_bits_that_p_is_held_to():
    assert context().null_rate(0.1) == (0.1, stats.SLACK)
    middle, slack = context(bits=8).null_rate(0.1)  # between 25/256 and 26/256
    assert middle == 25.5 / 256
    assert slack == 0.5 / 256 + stats.SLACK


def test_a_p_that_is_not_held_exactly_has_no_exact_tests():
    assert context(bits=8).sound_p == 0.5
    with pytest.raises(Skip, match=r"p=0\.1 is not held exactly"):
        _ = context(torch.nn.Dropout(0.1), bits=8).sound_p


@pytest.mark.parametrize("has", [True, False])
def test_what_a_target_lacks_is_not_checked(has):
    ctx = context()
    ctx.subject.has_eval = ctx.subject.has_gradient = has
    assert ctx.modes == ((True, False) if has else (True,))
    if has:
        assert ctx.need_eval() is ctx.need_gradient() is None
        return
    with pytest.raises(Skip, match="no eval mode"):
        ctx.need_eval()
    with pytest.raises(Skip, match="no gradient"):
        ctx.need_gradient()


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
    small = context(largest=1.5).normal(64, 64).abs()
    assert 0.5 <= small.min() < 0.501
    assert 1.49 < small.max() <= 1.5


def test_masks_are_drawn_once_and_by_a_seed_of_their_own(monkeypatch):
    ctx = context()
    before = torch.get_rng_state()
    bits = ctx.masks(0.5, 3, (8, 16))
    assert bits.shape == (3, 8, 16)
    assert 0.4 < bits.mean() < 0.6
    assert (bits[0] != bits[1]).any()
    assert ctx.masks(0.5, 3, (8, 16)) is bits
    torch.manual_seed(7)
    again = context().masks(0.5, 3, (8, 16))
    assert (again == bits).all()
    torch.set_rng_state(before)
    monkeypatch.setattr("torchdropout.verify.context._MOST_CACHED", 3 * 8 * 16)
    assert ctx.masks(0.1, 3, (8, 16)) is ctx.masks(0.1, 3, (8, 16))
    assert ctx.masks(0.1, 3, (8, 17)) is not ctx.masks(0.1, 3, (8, 17))
    assert torch.equal(torch.get_rng_state(), before)


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


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda x: x[:2], r"expected shape \(4,\), got \(2,\)"),
        (lambda x: x.to("meta"), "expected device cpu, got meta"),
        (lambda x: x.numpy(), "expected a tensor, got ndarray"),
        (lambda x: raises(SystemExit(3)), r"a call at p=0\.5 in training raised SystemExit: 3"),
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


def test_what_building_or_a_call_in_eval_raises_is_a_finding():
    def target(x, p, training):
        return x if training else raises(ValueError("v"))

    ctx = context(target)
    with pytest.raises(Fault, match=r"^a call at p=0\.5 in eval raised ValueError: v$") as caught:
        ctx.call(ctx.build(0.5), torch.ones(4), training=False)
    assert caught.value.figures == {"exception": "ValueError: v"}
    with pytest.raises(Fault, match=r"^building it at p=7 raised "):
        context(torch.nn.Dropout).build(7)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Fault("f"), Skip("s")], ids=repr)
def test_ctrl_c_and_what_a_check_says_itself_are_not_blamed_on_the_target(error):
    with pytest.raises(type(error)) as caught, context().blame("a call"):
        raise error
    assert caught.value is error


def test_a_check_is_made_of_a_function():
    def half_rate(ctx):
        """The rate is half.

        Measured: it.

        It matters.
        """
        return Seen(f"p={ctx.main_p}")

    half_rate.__module__ = "torchdropout.verify.checks.rate.part"
    plain = check()(half_rate)
    texts = ("half-rate", "rate", "error", "The rate is half.", "Measured: it.\n\nIt matters.")
    assert plain == Check(*texts, plain.run, (), False)
    other = check(severity="advice", needs=["a"], statistical=True, kind=Elementwise)(half_rate)
    assert other == Check(*texts[:2], "advice", *texts[3:], other.run, ("a",), True, Elementwise)
    assert plain.applies(PLAIN)
    assert not other.applies(PLAIN)
    assert other.applies(Elementwise())
    assert plain.run(context()) == Seen("p=0.5")
    with pytest.raises(Skip, match="plain: why"):
        plain.run(context(exempt={"half-rate": "why"}))


def test_a_family_that_rejects_is_a_fault_and_else_what_was_seen():
    def said(counts):
        family = stats.Family(0.01, 2)
        family.binomials(["a", "b"], counts, 100, 0.5)
        try:
            return outcome(family, lambda test: f"{test.label} {test.count}", "much", more=7)
        except Fault as fault:
            return fault

    seen = said([50, 40])
    p_value = 2 * stats.binomial_p_value(40, 100, 0.5, stats.SLACK)
    assert seen.message == f"b 40   p-value {p_value:.2g}"
    assert seen.sees == "much"
    (worst,) = seen.figures["worst"]
    assert (worst["label"], worst["count"]) == ("b", 40)
    numbers = {"p_value": p_value, "tests": 2, "alpha": 0.01, "more": 7}
    assert {key: seen.figures[key] for key in numbers} == numbers
    assert said([50, 50]).figures["p_value"] == 1

    one = said([50, 80])
    assert isinstance(one, Fault)
    assert str(one) == one.message
    assert one.message.startswith("b 80, expected 0.5   p-value ")
    assert "reject" not in one.message
    assert [test["label"] for test in one.figures["worst"]] == ["b"]
    both = said([20, 90])
    assert both.message.endswith("; 2 of 2 tests reject")
    assert [test["label"] for test in both.figures["worst"]] == ["b", "a"]


def test_the_eight_worst_tests_are_reported_the_worst_first():
    tests = [stats.Test(f"{i}", i, 100, 0.5, 1 / (1 + i)) for i in range(10)]
    assert [test["label"] for test in worst_first(tests)["worst"]] == list("98765432")
    assert [test["label"] for test in worst_first(tests, 2)["worst"]] == ["9", "8"]


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
