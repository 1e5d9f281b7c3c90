"""How a rule is declared."""

import pytest

from torchdropout_audit.code import Code
from torchdropout_audit.rules._rule import kept, rule


@pytest.mark.parametrize(
    ("doc", "summary", "explain"),
    [
        ("Drops.\n\n    Why it\n    does.\n", "Drops.", "Why it\ndoes."),
        ("Drops.", "Drops.", ""),
        (None, "", ""),  # as python -OO leaves it
    ],
)
def test_a_docstring_is_what_a_rule_says(doc, summary, explain):
    def always_on(code):
        return iter(())

    always_on.__doc__ = doc
    made = rule("TD999", group="g", broken="b", fixed="f", evidence="e")(always_on)
    said = made.rule
    assert (said.code, said.name, said.group, said.severity) == ("TD999", "always-on", "g", "error")
    assert (said.summary, said.explain) == (summary, explain)
    assert (said.broken, said.fixed, said.evidence) == ("b", "f", "e")
    assert made.find is always_on


def test_what_is_found_out_is_kept_with_the_source():
    read = []

    @kept
    def about(code, name=""):
        read.append(name)
        return name * 2

    one, other = Code(""), Code("")
    assert [about(one, "a"), about(one, "a"), about(one, "b"), about(one)] == ["aa", "aa", "bb", ""]
    assert about(other, "a") == "aa"
    assert read == ["a", "b", "", "a"]
