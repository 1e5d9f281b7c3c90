"""What is wrong with sites, told from their records alone."""

from dataclasses import replace

import pytest
from torch import nn

from torchdropout.audit_model.diagnosis import (
    _configured,
    config_of,
    diagnose,
    diagnose_program,
    joined,
    where,
)
from torchdropout.audit_model.observer import Declared, Record
from torchdropout.audit_model.results import UNKNOWN_KIND, AuditedSite

ON = Record("a.b", "Dropout", "net.py:3", 0.1, calls=1, on=True, zeros=1, values=4)
OFF = replace(ON, on=False, zeros=0, values=0)


def seen(train=ON, evaluation=OFF, no_grad=ON):
    return joined(train, evaluation, no_grad, ())


def names(*sites, uncalled=None, fast=(), config=None):
    found = diagnose(sites, uncalled or {}, list(fast), config)
    return [(one.name, one.severity) for one in found]


# --- Sites ----------------------------------------------------------------------------------------


def test_a_site_joins_the_records_of_all_passes():
    train = replace(ON, calls=2, zeros=1, values=4, kept=16, layers=3, frozen=True)
    found = joined(train, replace(OFF, calls=7), replace(ON, zeros=3, kept=5), ("other",))
    assert found.site == AuditedSite(
        *("a.b", "Dropout", "net.py:3", 0.1, 0.25, 4, 2, True, False, True, 16, ("other",))
    )
    assert (found.known, found.sure, found.frozen, found.is_lost) == (True, True, True, False)
    assert (found.layers, found.empty) == (3, False)


def test_a_site_of_one_pass():
    site = seen(train=None, evaluation=None).site
    assert (site.seen, site.values, site.calls, site.kept) == (0.25, 4, 1, 0)
    assert (site.train, site.eval, site.no_grad) == (None, None, True)
    site = seen(train=None, evaluation=replace(ON, calls=3), no_grad=None).site
    assert (site.seen, site.values, site.calls, site.asked) == (None, 0, 3, 0.1)
    assert (site.train, site.eval, site.no_grad) == (None, True, None)


@pytest.mark.parametrize(
    ("train", "evaluation", "asked"),
    [(0.1, 0.2, 0.1), (0.0, 0.2, 0.2), (None, 0.2, 0.2), (0.0, None, 0.0), (None, 0.0, None)],
)
def test_the_p_of_training_comes_first(train, evaluation, asked):
    records = replace(ON, asked=train), replace(OFF, asked=evaluation)
    assert seen(*records).site.asked == asked
    assert seen(records[0], None).site.asked == train


@pytest.mark.parametrize(
    ("calls", "empty", "expected"), [(1, 0, False), (2, 1, False), (2, 2, True), (1, 2, True)]
)
def test_a_site_is_empty_where_each_call_was(calls, empty, expected):
    assert seen(replace(ON, calls=calls, empty=empty)).empty == expected


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ((ON, OFF, ON), []),
        ((ON, ON, ON), [("alive-in-eval", "error")]),
        ((None, ON, None), [("alive-in-eval", "error")]),
        ([replace(ON, known=False)] * 3, [("alive-in-eval", "advice")]),
        ((OFF, OFF, OFF), [("dead-in-train", "error")]),
        ([replace(OFF, asked=0.0)] * 3, []),
        ([replace(OFF, asked=None)] * 3, []),
        ([replace(OFF, empty=1)] * 3, []),
        ([replace(OFF, frozen=True)] * 3, [("dead-in-train", "advice")]),
        ([replace(OFF, sure=False)] * 3, [("dead-in-train", "advice")]),
        ([replace(OFF, layers=2)] * 3, [("dead-in-train", "error")]),
        ([replace(OFF, layers=1)] * 3, [("rnn-site-without-effect", "error")]),
        ([replace(OFF, layers=1, asked=0.0)] * 3, []),
        ([replace(ON, layers=1)] * 3, [("alive-in-eval", "error")]),
        ((ON, OFF, OFF), [("off-under-no-grad", "advice")]),
        ((ON, OFF, None), []),
        ((None, None, OFF), []),
    ],
)
def test_findings_of_a_site(records, expected):
    assert names(seen(*records)) == expected


@pytest.mark.parametrize("kind", ["MCDropout", "MonteCarloDropout", "BayesianDropout"])
def test_sampling_that_is_meant_is_advice(kind):
    records = [replace(ON, kind=kind)] * 3
    assert names(seen(*records)) == [("alive-in-eval", "advice")]


def test_errors_come_first():
    advice, error = seen(no_grad=OFF), seen(evaluation=ON)
    expected = [("alive-in-eval", "error"), ("off-under-no-grad", "advice")]
    assert names(advice, error) == names(error, advice) == expected


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ((ON, ON, ON), "a.b Dropout (net.py:3) drops in eval with p=0.1"),
        ([replace(ON, asked=None)] * 3, "a.b Dropout (net.py:3) drops in eval"),
        (
            [replace(ON, is_lost=True)] * 3,
            "a.b Dropout (net.py:3) drops in eval with p=0.1; eval() does not reach it: it is "
            "built in forward or held in a plain list",
        ),
        (
            (OFF, OFF, OFF),
            "a.b Dropout (net.py:3) is called with p=0.1 and drops nothing in training",
        ),
        (
            [replace(OFF, layers=1)] * 3,
            "a.b Dropout (net.py:3) has dropout=0.1 and one layer: nothing is dropped",
        ),
        ((ON, OFF, OFF), "a.b Dropout (net.py:3) drops in training, but not under no_grad"),
    ],
)
def test_messages(records, message):
    (finding,) = diagnose([seen(*records)], {}, [], None)
    assert finding.message == message
    assert finding.figures == {"site": "a.b", "kind": "Dropout", "line": "net.py:3"}


def test_a_site_is_named():
    assert where(AuditedSite("", "F.dropout", "net.py:3")) == "the model's own F.dropout (net.py:3)"
    assert where(AuditedSite("a.b", "Dropout")) == "a.b Dropout"


# --- Modules that are not called, fast paths ------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "p", "is_found"),
    [
        ("a.b.drop", 0.1, False),  # the site a.b received its p
        ("a.b.drop", 0.2, True),
        ("a.drop", 0.1, True),
        ("drop", 0.1, True),
        ("drop", 0.0, False),
        ("drop", None, False),
    ],
)
def test_a_module_that_is_not_called(name, p, is_found):
    uncalled = {name: Declared("Dropout", p)}
    assert names(seen(), uncalled=uncalled) == [("never-called", "advice")] * is_found
    for finding in diagnose([seen()], uncalled, [], None):
        assert finding.message == f"{name} Dropout with p={p:g} was called in no pass"
        assert finding.figures == {"site": name, "kind": "Dropout", "p": p}


@pytest.mark.parametrize(
    ("fast", "begin", "sites"),
    [
        ([""], "the model: in eval", [""]),
        (["a", "a"], "a: in eval", ["a"]),
        (["a", "b", "a", "c"], "a and 2 more: in eval", ["a", "b", "c"]),
    ],
)
def test_fast_paths(fast, begin, sites):
    (finding,) = diagnose([], {}, fast, None)
    assert (finding.name, finding.severity) == ("fast-path-skips-dropout", "advice")
    assert finding.message.startswith(begin)
    assert finding.figures == {"sites": sites}


# --- The configuration ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "asked", "found"),
    [
        ({"dropout": 0.1}, [0.1], []),
        ({"dropout": 0.1}, [0.2, 0.1], []),
        ({"dropout": 0.1}, [0.1 + 1e-9], []),
        ({"dropout": 0.1}, [0.2], ["dropout"]),
        ({"dropout": 0.1}, [0.05], ["dropout"]),
        ({"dropout": 0.1}, [], ["dropout"]),
        ({"dropout": 0.1}, [0.2, None], []),  # a site of which no p is known may use it
        ({"drop_path_rate": 0.1}, [0.05], []),
        ({"Stochastic_Drop": 0.1}, [0.05], []),
        ({"drop_connect": 0.1}, [0.0], ["drop_connect"]),
        ({"drop_path_rate": 0.1}, [0.2], ["drop_path_rate"]),
        ({"a_dropout": 0.1, "b_dropout": 0.2, "c_dropout": 0.3}, [0.2], ["a_dropout", "c_dropout"]),
    ],
)
def test_a_p_of_the_configuration_without_a_site(config, asked, found):
    sites = [seen(*[replace(ON, asked=p)] * 2, replace(ON, asked=p)) for p in asked]
    sites = [replace(one, site=replace(one.site, eval=False)) for one in sites]
    findings = diagnose(sites, {}, [], config)
    assert [(one.name, one.figures["key"]) for one in findings] == [
        ("config-p-without-site", key) for key in found
    ]
    for one in findings:
        assert one.figures["asked"] == sorted(asked)
        got = ", ".join(f"{p:g}" for p in sorted(asked)) or "none"
        assert one.message.endswith(f"and no site was called with it: {got}")


class _Holding:
    def __init__(self):
        self.dropout = 0.25


class _Translating:
    dropout = 0.5

    def to_dict(self):
        return {"dropout": 0.25}


class _Slotted:
    __slots__ = ()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, {}),
        (3, {}),
        (_Slotted(), {}),
        (_Holding(), {"dropout": 0.25}),
        (_Translating(), {"dropout": 0.25}),
        ({"dropout": 1}, {"dropout": 1.0}),
        ({"dropout": 0}, {}),
        ({"dropout": 1.5}, {}),
        ({"dropout": -0.5}, {}),
        ({"dropout": True}, {}),
        ({"dropout": "0.5"}, {}),
        ({"dropout": None}, {}),
        ({"p": 0.5}, {}),
        ({"Attention_Dropout": 0.5}, {"Attention_Dropout": 0.5}),
        ({"encoder_layerdrop": 0.5, "classifier_dropout": 0.5, "head_drop": 0.5}, {}),
        ({"head": {"dropout": 0.5}}, {"head.dropout": 0.5}),
        ({"a": {"b": {"dropout": 0.5, "c": 1}}, "drop": 0.25}, {"a.b.dropout": 0.5, "drop": 0.25}),
        ({1: 0.5}, {}),
    ],
)
def test_the_probabilities_in_a_configuration(config, expected):
    assert dict(_configured(config)) == expected


def test_the_configuration_of_a_model():
    model = nn.Identity()
    assert config_of(model) is None
    model.config = {"dropout": 0.5}
    assert config_of(model) == {"dropout": 0.5}


# --- Exported programs ----------------------------------------------------------------------------


def test_an_exported_program():
    sites = [
        AuditedSite("a", UNKNOWN_KIND),
        AuditedSite("b", "aten.dropout", "net.py:3", 0.1),
    ]
    found = diagnose_program(sites)
    assert [(one.name, one.severity) for one in found] == [
        ("exported-in-training", "error"),
        ("exported-in-training", "advice"),
    ]
    assert [one.message for one in found] == [
        "b aten.dropout (net.py:3) drops in eval with p=0.1: it was exported in training",
        "a unknown random op drops in eval: it was exported in training",
    ]
    assert found[0].figures == {"site": "b", "kind": "aten.dropout", "line": "net.py:3"}
