"""The tests that `parametrize_with_dropout_checks` makes, run by pytest itself."""

import re
from pathlib import Path

import pytest
from torch import nn
from torch.nn import functional as F

from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.verify import RULES, pytest_plugin, runner
from torchdropout.verify.pytest_plugin import parametrize_with_dropout_checks
from torchdropout.verify.targets import resolve

PAGE = Path(__file__).parents[2] / "docs" / "pytest.md"

TARGETS = """
from torch import nn
from torch.nn import functional as F
from torchdropout.verify.pytest_plugin import parametrize_with_dropout_checks


class Right(nn.Dropout):
    pass


class Live(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return F.dropout(x, self.p)


class TwoArguments(nn.Module):
    def __init__(self, p, width):
        super().__init__()


class Leaves(nn.Module):
    def __init__(self, p=0.5):
        raise SystemExit(3)


"""


@pytest.fixture
def run(pytester):
    """`run(decorator, *flags)`: pytest on a file with the targets and one decorated test."""
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:randomly -rsxXf\n")

    def run(arguments, *flags):
        pytester.makepyfile(
            f"{TARGETS}@parametrize_with_dropout_checks({arguments})\n"
            "def test_dropout(target, check):\n    check(target)\n"
        )
        return pytester.runpytest_inprocess(*flags)

    return run


def outcomes(result):
    """The outcome of each test, by what stands in its brackets."""
    found = re.findall(r"test_dropout\[(.+?)\] (PASSED|FAILED|SKIPPED|XFAIL)", result.stdout.str())
    return {test: outcome.lower() for test, outcome in found}


def ids(mark):
    return [parameter.id for parameter in mark.args[1]]


def test_a_check_that_needs_a_failed_one_is_skipped_also_when_run_alone(run):
    for flags in ((), ("-k", "mode-switch")):
        result = run("[Live], select=['eval-identity', 'mode-switch']", "-v", *flags)
        assert outcomes(result)["Live-mode-switch"] == "skipped"
        result.stdout.fnmatch_lines(["*not checked: eval-identity failed"])


@pytest.mark.integration
def test_advice_is_a_skip_unless_strict(run):
    result = run("[Right], select=['nonfinite-dropped']")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*advice: *`torchdropout explain nonfinite-dropped`"])
    run("[Right], select=['nonfinite-dropped'], strict=True").assert_outcomes(failed=1)


@pytest.mark.parametrize("key", ["eval-identity", "td502"])
def test_an_expected_failure_that_happens_is_xfailed(run, key):
    checks = ["output-shape", "eval-identity", "train-stochastic", "mode-switch", "grad-mode"]
    result = run(f"[Live], select={checks}, expected_failures={{{key!r}: 'issue 7'}}", "-v")
    assert outcomes(result)["Live-eval-identity"] == "xfail"
    result.assert_outcomes(xfailed=1, passed=2, skipped=2)
    result.stdout.fnmatch_lines(["XFAIL*Live-eval-identity*issue 7"])


def test_an_expected_failure_that_does_not_happen_fails(run):
    result = run("[Right], select=['mode'], expected_failures={'eval-identity': 'issue 7'}", "-v")
    assert outcomes(result)["Right-eval-identity"] == "failed"
    result.stdout.fnmatch_lines(["*XPASS(strict)*issue 7*"])


def test_an_expected_failure_hides_no_other_error(run, monkeypatch):
    def raises(*args, **kwargs):
        raise RuntimeError("of the verifier")

    monkeypatch.setattr(pytest_plugin, "begun", raises)
    result = run("[Live], select=['TD502'], expected_failures={'eval-identity': 'issue 7'}")
    result.assert_outcomes(failed=1)


def test_an_unknown_name_is_a_collection_error_with_a_suggestion(run):
    result = run("[Right], expected_failures={'eval-identiti': 'issue 7'}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*got 'eval-identiti' (str); close to it: eval-identity*"])


def test_a_target_that_is_not_understood_is_one_failing_test(run):
    result = run("[TwoArguments, Leaves, 'no.such:Thing', Right], select=['TD502']", "-v")
    assert outcomes(result) == {
        "TwoArguments-target": "failed",
        "Leaves-target": "failed",
        "Thing-target": "failed",
        "Right-eval-identity": "passed",
    }
    result.stdout.fnmatch_lines(
        ["E *TargetError: Expected TARGET *TwoArguments' to be built from the drop probability*"]
    )
    result.stdout.fnmatch_lines(["E *VerificationError: *Leaves* raised SystemExit(3)"])
    result.stdout.fnmatch_lines(["E *TargetError: Expected TARGET 'no.such:Thing' *"])


def test_each_check_runs_once_whatever_the_order(monkeypatch):
    ran = []

    def counted(self, code, failed):
        ran.append(RULES[code].name)
        return run_one(self, code, failed)

    run_one = runner.Run.__call__
    monkeypatch.setattr(runner.Run, "__call__", counted)
    mark = parametrize_with_dropout_checks([nn.Dropout], select=["mode", "scale"])
    for _ in range(2):
        for parameter in reversed(mark.args[1]):
            target, check = parameter.values
            check(target)
    assert sorted(ran) == sorted(
        rule.name for rule in RULES.values() if rule.group in ("mode", "scale")
    )


def test_a_target_gets_the_checks_of_its_kind_and_a_name_of_its_own():
    options = {"select": ["structure", "eval-identity"]}
    assert ids(parametrize_with_dropout_checks([F.dropout], **options)) == ["dropout-eval-identity"]
    assert ids(parametrize_with_dropout_checks([F.dropout], spec="tokens", **options)) == [
        "dropout-eval-identity",
        "dropout-fixed-count",
        "dropout-subset-uniform",
    ]
    assert "Dropout2d-shared-mask" in ids(parametrize_with_dropout_checks([nn.Dropout2d]))
    many = nn.Sequential(nn.Dropout(0.5), nn.Identity(), nn.Identity(), nn.Identity())
    targets = [nn.Dropout, "torch.nn:Dropout", many, resolve("torch.nn:Dropout")]
    names = ids(parametrize_with_dropout_checks(targets, select=["TD502"]))
    assert [name.removesuffix("-eval-identity") for name in names] == [
        "Dropout", "Dropout-2", "Sequential", "Dropout-3",
    ]  # fmt: skip


def test_a_check_is_of_its_target():
    mark = parametrize_with_dropout_checks([nn.Dropout], select=["TD502"])
    target, check = mark.args[1][0].values
    assert check.rule.name == "eval-identity"
    assert repr(check) == "<check eval-identity>"
    with pytest.raises(ArgumentValueError, match="the one that the test got with its check"):
        check(nn.Dropout(0.5))
    check(target)


@pytest.mark.parametrize("targets", [nn.Dropout, "torch.nn:Dropout", nn.Sequential(), 3])
def test_a_single_target_is_refused_with_advice(targets):
    with pytest.raises(ArgumentTypeError, match="put it in brackets"):
        parametrize_with_dropout_checks(targets)
    with pytest.raises(ArgumentValueError, match="to hold a target"):
        parametrize_with_dropout_checks([])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"level": "fast"}, ArgumentValueError, "Expected `level` to be one of quick, standard"),
        ({"select": ["eval-identiti"]}, ArgumentValueError, "close to it: eval-identity"),
        ({"expected_failures": ["mode"]}, ArgumentTypeError, "to be a mapping"),
        ({"expected_failures": {"drop-rate": 3}}, ArgumentTypeError, "to hold reasons"),
        ({"expected_failures": {"mode": "a group"}}, ArgumentValueError, "names or codes"),
        ({"expected_failures": {4: "no name"}}, ArgumentValueError, "got 4 .int."),
    ],
)
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        parametrize_with_dropout_checks([nn.Dropout], **options)


@pytest.mark.integration
def test_the_page_does_what_it_shows(pytester, monkeypatch):
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider\n")
    monkeypatch.setenv("COLUMNS", "200")
    pattern = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    blocks = pattern.findall(PAGE.read_text())  # language and text
    assert [language for language, _ in blocks].count("console") == 3
    for language, text in blocks:
        first, rest = text.split("\n", 1)
        if language == "python":
            (pytester.path / first.removeprefix("# ")).write_text(rest)
            continue
        flags = first.removeprefix("$ pytest ").split()
        # Times, rules and the progress in per cent are left out of the page.
        shown = [line.replace("[", "[[]").split() for line in rest.splitlines() if line != "..."]
        result = pytester.runpytest_inprocess(*flags)
        result.stdout.fnmatch_lines([f"*{'*'.join(words)}*" for words in shown])
        # The frames of this package are not news to the reader.
        result.stdout.no_fnmatch_line("*pytest_plugin.py*")
