"""Which rules are meant by what is given."""

import pytest

from torchdropout_audit.errors import ArgumentTypeError, ArgumentValueError
from torchdropout_audit.registry import CHOICE, RULES, chosen


def group(name):
    return {rule.name for rule in RULES.values() if rule.group == name}


ALL = set(RULES)


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        ((), (), ALL),
        (["TD101"], (), {"functional-always-on"}),
        (["td101,p-one"], (), {"functional-always-on", "p-one"}),
        ([RULES["p-one"].group], ["p-one"], group(RULES["p-one"].group) - {"p-one"}),
        (["TD12"], (), {n for n, r in RULES.items() if r.code.startswith("TD12")}),
        ((), ["TD0"], {n for n, r in RULES.items() if r.code[2] in "12"}),
    ],
)
def test_what_is_chosen(select, ignore, expected):
    assert chosen(select, ignore) == expected
    assert expected


@pytest.mark.parametrize(
    ("select", "ignore", "error", "words"),
    [
        (["p-oen"], (), ArgumentValueError, ["`select`", "of rules", "'p-oen' (str)", "p-one"]),
        ((), ["qqq"], ArgumentValueError, ["`ignore`", "`torchdropout-audit --rules` lists them"]),
        ((), ["TD"], ArgumentValueError, ["leave a rule to run"]),
        (["drop-rate"], (), ArgumentValueError, ["'drop-rate'"]),  # a check of the verifier
        ([101], (), ArgumentTypeError, ["`select`", "101 (int)"]),
    ],
)
def test_what_names_nothing_is_told(select, ignore, error, words):
    with pytest.raises(error) as caught:
        chosen(select, ignore)
    for word in words:
        assert word in str(caught.value)


def test_codes_and_names_are_unique_and_no_group_is_a_name():
    assert len({rule.code for rule in RULES.values()}) == len(RULES)
    assert all(name == rule.name for name, rule in RULES.items())
    assert not {rule.group for rule in RULES.values()} & set(RULES)
    assert CHOICE.matching("no-such-rule") == frozenset()
