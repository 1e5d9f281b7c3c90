"""TD105: what the snippets do not show of attention whose dropout does not depend on the mode."""

import pytest

from _marks import HEAD, marked
from torchdropout_audit.source import audit_text

NAME = "attention-dropout-ungated"


def test_a_rate_that_two_calls_are_given_is_found_once():
    source = """
def attend(q, k, v, p):
    one = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
    return one + F.scaled_dot_product_attention(k, q, v, dropout_p=p)

class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.p = 0.1
    def forward(self, x):
        return attend(x, x, x, self.p)  #!
"""
    found, expected = marked(NAME, source)
    assert found == expected
    assert len(expected) == 1


def attend(rate, before=""):
    """A Module that attends with a rate."""
    return f"""
class A(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p
    def forward(self, x, given=None):
        {before or "pass"}
        return F.scaled_dot_product_attention(x, x, x, dropout_p={rate})
"""


@pytest.mark.parametrize(
    ("rate", "before"),
    [
        ("0.2", ""),
        ("self.p", ""),
        ("float(self.p)", ""),
        ("self.p or 0.0", ""),
        ("0.0 if x.is_cuda else self.p", ""),
        ("self.p if x.is_cuda else 0.0", ""),
        ("rate", "rate = self.p"),
        ("rate", "rate = 0.0 if x.is_cuda else float(self.p)"),
    ],
)
def test_where_a_rate_comes_from(rate, before):
    source = attend(rate, before)
    found, expected = marked(NAME, source.replace(f"{rate})", f"{rate})  #!"))
    assert found == expected
    assert len(found) == 1


@pytest.mark.parametrize(
    ("rate", "before"),
    [
        ("0.0", ""),
        ("None", ""),
        ("'0.1'", ""),
        ("rate_of(self.p)", ""),
        ("self.rate_of(0.1)", ""),
        ("rate", "rate = rate_of(0.1)"),
        ("rate", "rate, other = rates()"),
        ("rate", "rate = rate_of() if x.is_cuda else rate"),
        ("0.0 or self.p", ""),
    ],
)
def test_a_rate_that_is_not_known(rate, before):
    assert marked(NAME, attend(rate, before)) == ([], [])


MODULE = """
from functools import partial
from .base import Base, Mixin

class A(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p
        self.attend = {held}
    def forward(self, x):
        return {returned}
"""
BOUND = "partial(F.scaled_dot_product_attention, dropout_p=self.p)"


def test_a_rate_that_a_partial_binds_for_other_files():
    source = """
from functools import partial
attend = partial(F.scaled_dot_product_attention, dropout_p=0.1)  #?
given = partial(F.scaled_dot_product_attention, dropout_p=0.1)
given(q, k, v, dropout_p=0.0)
"""
    found, expected = marked(NAME, source)
    assert found == expected


@pytest.mark.parametrize(
    ("held", "returned", "is_found"),
    [
        (BOUND, "self.attend(x, x, x)", True),
        (BOUND, "self.attend(x, x, x, is_causal=True)", True),
        (BOUND, "self.attend(x, x, x, is_causal=True, dropout_p=0.0)", False),
        (BOUND, "self.attend(x, x, x, **self.given(x))", False),
        (f"Held({BOUND})", "self.attend(x, x, x)", False),
        (f"self.made[0] = {BOUND}", "self.made[0](x, x, x)", False),
        (f"self.other = {BOUND}", "self.attend(x, x, x)", True),
        (f"self.other = {BOUND}", "self.other(x, x, x, dropout_p=0.0)", False),
        ("partial(F.scaled_dot_product_attention, scale=2.0)", "self.attend(x, x, x)", False),
        ("partial(F.dropout, dropout_p=self.p)", "self.attend(x, x, x)", False),
        ("compiled(F.scaled_dot_product_attention, dropout_p=self.p)", "self.attend(x)", False),
    ],
)
def test_a_rate_that_a_partial_binds(held, returned, is_found):
    source = MODULE.format(held=held + ("  #!" if is_found else ""), returned=returned)
    found, expected = marked(NAME, source)
    assert found == expected
    assert len(found) == is_found


@pytest.mark.parametrize(
    ("held", "is_found"),
    [
        ("F.scaled_dot_product_attention", True),
        ("partial(F.scaled_dot_product_attention, is_causal=True)", True),
        ("F.scaled_dot_product_attention if p else F.softmax", False),
        ("torch.compile(F.scaled_dot_product_attention)", False),
        ("partial(F.scaled_dot_product_attention, None)", False),
        ("F.softmax", False),
        ("None", False),
    ],
)
def test_an_attribute_that_is_called(held, is_found):
    returned = "self.attend(x, x, x, dropout_p=self.p)" + ("  #!" if is_found else "")
    found, expected = marked(NAME, MODULE.format(held=held, returned=returned))
    assert found == expected
    assert len(found) == is_found


@pytest.mark.parametrize(
    ("bases", "rate", "severity"),
    [
        ("nn.Module", "self.p", "error"),
        ("nn.Module, Known", "self.p", "error"),
        ("Known", "self.p", "error"),
        ("Known", "self.config.p", "error"),
        ("Base", "self.p", "advice"),  # a property, perhaps
        ("Base", "self.config.p", "advice"),
        ("Base, nn.Module", "self.p", "advice"),
        ("nn.Module, Base", "self.p", "advice"),
        ("Base", "self.set", "error"),
        ("Base", "config.p", "error"),
        ("Base", "options().p", "error"),
        ("Base", "0.1", "error"),
    ],
)
def test_a_base_in_another_file_may_define_the_rate(bases, rate, severity):
    source = f"""
from .base import Base

class Known(nn.Module): ...

class A({bases}):
    def __init__(self):
        super().__init__()
        self.set = 0.1
    def forward(self, x, config):
        return F.scaled_dot_product_attention(x, x, x, dropout_p={rate})
"""
    found, _ = marked(NAME, source)
    assert [each[1] for each in found] == [severity]


def test_the_words_of_a_finding():
    source = HEAD + "def f(x):\n    return F.scaled_dot_product_attention(x, x, x, dropout_p=0.1)"
    [advice] = audit_text(source, "src/model.py", {NAME})
    [error] = audit_text(HEAD + attend("self.p"), "src/model.py", {NAME})
    said = "scaled_dot_product_attention drops in eval too: {} is its rate in both modes"
    assert (advice.severity, advice.message) == ("advice", said.format("0.1"))
    assert (error.severity, error.message) == ("error", said.format("self.p"))
    assert (advice.fix, advice.hint) == (None, "give 0.0 in eval")
    assert error.fix is not None
    assert error.hint == error.fix.does


def called(call, before="", default=""):
    """A Module that calls a function which attends, with a rate."""
    return f"""
def attend(q, k, v, p{default}):
    return F.scaled_dot_product_attention(q, k, v, dropout_p=p)

class A(nn.Module):
    def forward(self, x, p):
        {before or "pass"}
        return {call}
"""


@pytest.mark.parametrize(
    "call",
    ["attend(x, x, x, 0.1)", "attend(x, x, x, p=self.p)", "attend(x, x, x, self.p or 0.0)"],
)
def test_a_rate_that_a_caller_gives(call):
    found, expected = marked(NAME, called(f"{call}  #!"))
    assert found == expected
    assert len(found) == 1


@pytest.mark.parametrize(
    "source",
    [
        called("attend(x, x, x, p)"),
        called("attend(x, x, x, 0.0)"),
        called("attend(*x)"),
        called("attend(x, x, x, **self.given)"),
        called("attend(x, x, x)", default="=0.1"),
        called("attend(x, x, x, 0.1)", before="if not self.training: return x"),
        called("attend(x, x, x, self.p if self.training else 0.0)"),
        called("attend(x, x, x, 0.0)") + "\nattend(x, x, x, 0.1)",
        called("attend(x, x, x, 0.0)") + "\ndef other(x):\n    attend(x, x, x, 0.1)",
    ],
)
def test_a_rate_of_a_caller_that_is_not_known_to_act_in_eval(source):
    assert marked(NAME, source) == ([], [])


@pytest.mark.parametrize(
    ("test", "is_found"),
    [
        ("self.p == 0", False),
        ("self.p == 0.0", False),
        ("not self.p", False),
        ("self.is_off", False),
        ("self.p == 0 == other", True),
        ("self.p != 0", True),
        ("self.p == 1", True),
        ("self.q == 0", True),
        ("not self.q", True),
        ("not (self.p == 0)", True),
        ("self.p", True),
        ("self.many", True),
    ],
)
def test_a_call_that_is_made_where_the_rate_is_zero(test, is_found):
    source = f"""
class A(nn.Module):
    def __init__(self, p, many):
        super().__init__()
        self.p = p
        self.is_off = self.p == 0
        self.many = self.p == 0
        self.many = many
    def forward(self, x):
        if {test}:
            with torch.no_grad():
                return F.scaled_dot_product_attention(x, x, x, dropout_p=self.p)  # here
        return x
"""
    found, expected = marked(NAME, source.replace("# here", "#!" if is_found else ""))
    assert found == expected
    assert len(found) == is_found
