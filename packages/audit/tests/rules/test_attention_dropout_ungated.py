"""TD105: what the snippets do not show of attention whose dropout does not depend on the mode."""

import pytest

from _marks import marked

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
