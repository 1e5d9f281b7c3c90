"""TD103: the training flag, given as p."""

import pytest

from _marks import fixed, marked

NAME = "training-passed-as-p"


@pytest.mark.parametrize(
    "source",
    [
        "def f(x, is_train): return F.dropout(x, is_train)  #!",
        "def f(x, flag: bool): return F.dropout(x, flag)  #!",
        "def f(x, flag=False): return F.dropout(x, flag)  #!",
        "def f(x, *, flag=True): return F.dropout(x, flag)  #!",
        "def f(self, x): return F.dropout(x, self.training)  #!",
        "def f(x, p): return F.dropout(x, not p)  #!",
        "def f(x, flag=1): return F.dropout(x, flag)",
        "def f(x, flag: float): return F.dropout(x, flag)",
        "def f(x, flag): return F.dropout(x, flag)",
        "def f(self, x): return F.dropout(x, self.flag)",
        "def f(x, p): return F.dropout(x, -p)",
        "def f(x, flag=True):\n    flag = 0.5\n    return F.dropout(x, flag)",
        "def f(x):\n    flag = True\n    return F.dropout(x, flag)",
        "def f(x, flag=True): return lambda flag: F.dropout(x, flag)",
        "flag = True\nF.dropout(x, flag)",
        "def f(x, is_train): return other(x, is_train)",
    ],
)
def test_what_is_a_flag(source):
    found, expected = marked(NAME, source)
    assert found == expected


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("x, is_train", "x, training=is_train"),
        ("x, not p", "x, training=not p"),
        ("x, is_train, is_train", None),
        ("x, is_train, training=p", None),
        ("x, p=is_train", None),
    ],
)
def test_fix(given, becomes):
    source = "def f(x, p, is_train):\n    return F.dropout({})\n"
    assert fixed(NAME, source.format(given))[0] == source.format(given)
    text, left = fixed(NAME, source.format(given), unsafe=True)
    assert text == source.format(becomes or given)
    assert len(left) == (becomes is None)
