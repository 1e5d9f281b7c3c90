"""One run: its order, its seed, what it skips, and how it ends."""

import dataclasses
import json

import pytest
import torch

from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.verify import CHECKS, RULES, check_dropout, runner
from torchdropout.verify.context import Fault, Seen, Skip
from torchdropout.verify.runner import begun, codes_of
from torchdropout.verify.specs import PLAIN
from torchdropout.verify.targets import resolve
from verify._zoo import COARSE, SHORT, TINY


def timeless(report):
    """A report as JSON, without its times."""
    data = report.to_dict()
    data.pop("seconds")
    for check in data["checks"]:
        check.pop("seconds")
    return json.dumps(data)


def by_name(report):
    return {check.rule.name: check for check in report.checks}


@pytest.mark.integration
@pytest.mark.parametrize("name", ["functional", "Counter"])
def test_the_same_seed_gives_the_same_report_byte_for_byte(run_checks, correct_zoo, name):
    def run(seed, only=SHORT):
        return run_checks(correct_zoo[name], level=TINY, seed=seed, only=only)

    torch.manual_seed(1)
    first = run(3)
    torch.manual_seed(2)
    assert timeless(run(3)) == timeless(first)
    (other,) = run(4, only=frozenset(["count-spread"])).checks
    assert other.message != by_name(first)["count-spread"].message


def unscaled(x, p, training):
    return x.masked_fill(torch.rand(x.shape) < p, 0) if training else x


def test_progress_names_every_rule_before_its_check(run_checks):
    calls = []
    names = frozenset(["drop-rate", "output-shape", "few-masks"])
    run_checks(torch.nn.Dropout, only=names, progress=lambda *said: calls.append(said))
    codes = codes_of(names, PLAIN)
    assert calls == [(i, len(codes), RULES[code]) for i, code in enumerate(codes)]


def test_ctrl_c_inside_the_target_leaves_what_was_done(run_checks):
    calls = []

    def dropout(x, p, training):
        calls.append(p)
        if len(calls) > 60:
            raise KeyboardInterrupt
        return torch.nn.functional.dropout(x, p, training)

    report = run_checks(dropout)
    assert report.interrupted
    assert 0 < len(report.checks) < len(codes_of(None, PLAIN))


def test_what_depends_on_a_failed_check_is_skipped_and_says_so(run_checks, broken_members):
    checks = by_name(run_checks(broken_members["scaled_by_share"].target))
    assert checks["kept-scale"].status == "fail"
    assert checks["drop-rate"].status == "skip"
    assert checks["drop-rate"].message == "not checked: kept-scale failed"
    assert checks["tiny-input"].message == "not checked: kept-scale failed"
    # Through the check between them, which was skipped too: it names drop-rate alone.
    assert CHECKS[checks["position-rate"].rule.code].needs == ("drop-rate",)
    assert checks["position-rate"].message == "not checked: kept-scale failed"
    assert checks["eval-identity"].status == "ok"


def test_a_wrong_scale_hides_no_second_fault(run_checks):
    """Where one factor is all that is wrong, it is taken out of what the other checks measure."""
    checks = by_name(run_checks(unscaled))
    assert checks["kept-scale"].message.endswith("; it looks unscaled")
    failed = [
        name
        for name, check in checks.items()
        if (check.status, check.rule.severity) == ("fail", "error")
    ]
    assert failed == ["kept-scale"]
    for name in ("drop-rate", "lag-independence", "grad-scale", "scale-constant", "dtype-scale"):
        assert checks[name].status == "ok"
    assert checks["inplace-claim"].status == "skip"

    def and_half_the_rate(x, p, training):
        return unscaled(x, p / 2, training)

    two = frozenset(["kept-scale", "drop-rate"])
    checks = by_name(run_checks(and_half_the_rate, only=two))
    assert {checks["kept-scale"].status, checks["drop-rate"].status} == {"fail"}


def test_a_check_alone_says_what_it_says_in_a_run(run_checks):
    names = frozenset(["drop-rate", "few-masks", "lag-independence", "tiny-input"])
    whole = run_checks(torch.nn.Dropout, only=names)
    subject = resolve(torch.nn.Dropout)
    for result in whole.checks:
        with begun(subject, COARSE, 0) as run:
            assert run(result.rule.code, {}).message == result.message


def test_rates_known_to_be_wrong_are_not_echoed():
    def wrong(x, p, training):
        return torch.nn.functional.dropout(x, 0.6 if p == 0.5 else p, training)

    code = {check.name: code for code, check in CHECKS.items()}
    with begun(resolve(wrong), COARSE, 0) as run:
        run(code["drop-rate"], {})
        assert run.known.bad_rates == {0.5}
    with begun(resolve(wrong), COARSE, 0) as run:
        run.known.bad_rates |= {0.5}
        alone = run(code["few-masks"], {})
    assert alone.message == "not checked: the rate at p=0.5 is wrong, see drop-rate"


def test_a_report_holds_a_target_and_its_findings():
    report = check_dropout(unscaled, level="quick", seed=5, select=["scale"])
    (target,) = report
    assert (target.level, target.seed, target.false_alarm_rate) == ("quick", 5, 1e-6)
    assert not report.passed
    assert (target.file, target.line) == (__file__, unscaled.__code__.co_firstlineno)
    finding = report.findings[0]
    assert (finding.code, finding.name, finding.severity) == ("TD511", "kept-scale", "error")
    assert finding.figures["wrong"] > 0
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"level": "fast"}, ArgumentValueError, "`level`.*quick, standard, thorough.*'fast'.*str"),
        ({"level": None}, ArgumentValueError, "`level`.*None.*NoneType"),
        ({"level": []}, ArgumentValueError, "`level`.*list"),
        ({"seed": 0.5}, ArgumentTypeError, "`seed`.*int.*0.5.*float"),
        ({"seed": True}, ArgumentTypeError, "`seed`.*bool"),
        ({"false_alarm_rate": 0}, ArgumentValueError, r"`false_alarm_rate` in \(0, 1\).*0"),
        ({"false_alarm_rate": 1.0}, ArgumentValueError, "`false_alarm_rate`.*1.0.*float"),
        ({"false_alarm_rate": float("nan")}, ArgumentValueError, "`false_alarm_rate`.*nan"),
        ({"false_alarm_rate": "1e-6"}, ArgumentValueError, "`false_alarm_rate`.*str"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_is_drawn(options, error, words):
    before = torch.random.get_rng_state()
    with pytest.raises(error, match=words):
        check_dropout(torch.nn.Dropout, **options)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("raised", "status", "message"),
    [
        (None, "ok", "seen"),
        (Skip("why"), "skip", "why"),
        (Fault("wrong", n=3), "fail", "wrong"),
        (SystemExit(3), "fail", "raised SystemExit: 3"),
        (ValueError("v"), "fail", "raised ValueError: v"),
    ],
)
def test_how_a_check_ends(monkeypatch, raised, status, message):
    def run(ctx):
        assert ctx.seed == 5
        if raised is not None:
            raise raised
        return Seen("seen", {"n": 3}, "much")

    code = "TD521"
    monkeypatch.setattr(
        runner, "CHECKS", {**CHECKS, code: dataclasses.replace(CHECKS[code], run=run)}
    )
    with begun(resolve(torch.nn.Dropout), "quick", 5) as one:
        result = one(code, {})
        skipped = one(code, {"kept-scale": "failed"})
    assert (result.rule, result.status, result.message) == (RULES[code], status, message)
    assert result.sees == ("much" if status == "ok" else "")
    if isinstance(raised, (SystemExit, ValueError)):
        assert result.figures == {"exception": message.removeprefix("raised ")}
    else:
        assert result.figures == ({} if status == "skip" else {"n": 3})
    assert 0 <= result.seconds < 60
    assert (skipped.status, skipped.message) == ("skip", "not checked: kept-scale failed")
