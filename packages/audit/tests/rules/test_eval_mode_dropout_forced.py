"""TD162: MC dropout that does not reach every dropout."""

import pytest
import torch
from torch import nn

from torchdropout_audit.source import audit_text

LOOP = """
import torch
from torch import nn
def enable(model):
    for m in model.modules():
        if {}:
            m.train()
"""
NAMED = """
from torch import nn
def enable(model):
    for name, m in model.named_modules():
        if {}:
            m.train()
"""
ALL = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")


def found(text):
    return audit_text(text, rules={"eval-mode-dropout-forced"})


@pytest.mark.parametrize(
    ("test", "reached"),
    [
        ("type(m) == nn.Dropout", 1),
        ("type(m) is torch.nn.Dropout", 1),
        ("m.__class__ == nn.Dropout", 1),
        ("type(m) in (nn.Dropout, nn.Dropout2d)", 2),
        ("isinstance(m, nn.Dropout)", 1),
        ("isinstance(m, (nn.Dropout, nn.Dropout2d, nn.Dropout3d))", 3),
        ("isinstance(m, nn.Dropout | nn.AlphaDropout)", 2),
        ("isinstance(m, nn.Dropout) or isinstance(m, nn.Dropout2d)", 2),
        ("isinstance(m, nn.Dropout) and m.p > 0", 1),
        ("m.__class__.__name__.startswith('Dropout')", 4),
        ("type(m).__name__ == 'Dropout'", 1),
        ("type(m).__name__ in ['Dropout', 'Dropout2d']", 2),
        ("m.__class__.__name__.endswith('Dropout')", 3),
        ("type(m) in (nn.modules.dropout._DropoutNd, nn.Dropout)", 1),
        ("'Dropout2' in type(m).__name__", 1),
        ("type(m).__name__.lower() == 'dropout'", 1),
        ("type(m).__name__.lower().startswith('dropout')", 4),
        ("'dropout2' in str(type(m)).lower()", 1),
        ("'.Dropout3' in str(type(m))", 1),
    ],
)
def test_what_is_missed(test, reached):
    (hit,) = found(LOOP.format(test))
    assert (hit.line, hit.severity) == (7, "advice")
    missed = hit.message.removeprefix("this misses ").partition(", functional")[0]
    kinds = missed.replace(" and ", ", ").split(", ")
    # The test itself, on the real classes, decides.
    scope = {"torch": torch, "nn": nn}
    real = [k for k in ALL if not eval(test, scope | {"m": getattr(nn, k)(0.5)})]
    assert kinds == real
    assert len(ALL) - len(kinds) == reached


@pytest.mark.parametrize(
    "test",
    [
        "isinstance(m, nn.modules.dropout._DropoutNd)",
        "'dropout' in m.__class__.__name__.lower()",
        "'Dropout' in str(type(m))",
        f"isinstance(m, ({', '.join('nn.' + kind for kind in ALL)}))",
        "isinstance(m, nn.BatchNorm1d)",
        "isinstance(m, KINDS)",
        "isinstance(m, (nn.Dropout, KIND))",
        "isinstance(m, (nn.modules.dropout._DropoutNd, nn.Dropout))",
        "isinstance(other, nn.Dropout)",
        "issubclass(m, nn.Dropout)",
        "type(other) == nn.Dropout",
        "type(m) != nn.Dropout",
        "type(m).__name__.upper() == 'DROPOUT'",
        "type(m).__name__.startswith('Drop', 1)",
        "type(m).__name__.count('Dropout')",
        "type(m).__name__ in names",
        "m.kind in ['Dropout', 'Dropout2d']",
        "m.kind == 'Dropout'",
        "hasattr(m, 'p')",
        "type(m).__name__.startswith(prefix)",
    ],
)
def test_tests_that_reach_all_or_are_not_known(test):
    assert found(LOOP.format(test)) == []


@pytest.mark.parametrize(
    "test", ["'fc' in name", "name in names", "m.kind == 'dropout'", "'dropout' in m.name"]
)
def test_other_tests_beside_names_of_attributes(test):
    assert found(NAMED.format(test)) == []


@pytest.mark.parametrize("test", ["'dropout' in name", "name.startswith('drop')"])
def test_names_of_attributes(test):
    assert [hit.line for hit in found(NAMED.format(test))] == [6]


@pytest.mark.parametrize(
    "text",
    [
        "def f(m):\n    if type(m) == nn.Dropout:\n        m.train(True)",
        "def f(m):\n    if isinstance(m, nn.Dropout):\n        m.training = True",
        "for m in [m for m in net.modules() if isinstance(m, nn.Dropout)]:\n    m.train()",
        "[m.train() for m in net.modules() if isinstance(m, nn.Dropout)]",
        "net.apply(lambda m: m.train() if isinstance(m, nn.Dropout) else None)",
        "for m in net.modules():\n  if not isinstance(m, nn.Dropout):\n    continue\n  m.train()",
        "for m in net:\n  if not isinstance(m, nn.Dropout):\n    f(m)\n    continue\n  m.train()",
        "for m in net:\n  if not isinstance(m, nn.Dropout):\n    continue\n  f(m)\n  m.train()",
        "def f(m):\n    if isinstance(m, nn.Dropout):\n        m.train(mode=True)",
        "for m in net.modules():\n  isinstance(m, nn.Dropout) and m.train()",
        "class Mine(nn.Module): ...\nfor m in net:\n  if isinstance(m, (nn.Dropout, Mine)):\n"
        "    m.train()",
    ],
)
def test_other_ways_to_write_it(text):
    assert len(found("from torch import nn\n" + text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "def f(m):\n    if type(m) == nn.Dropout:\n        m.eval()",
        "def f(m):\n    if type(m) == nn.Dropout:\n        m.train(False)",
        "def f(m):\n    if type(m) == nn.Dropout:\n        m.p = 0.1",
        "def f(m):\n    if type(m) == nn.Dropout:\n        m.frozen = True\nnet.train()",
        "for m in net.modules():\n  isinstance(m, nn.Dropout) or m.train()",
        "for (i, n), m in pairs:\n  if isinstance(m, nn.Dropout):\n    m.train()",
        "def f(m):\n    if type(m) == nn.Dropout:\n        m = True\nnet.train()",
        "def f(m):\n    if type(m) == nn.Dropout:\n        m.training = False",
        "def f(m):\n    if type(m) == nn.Dropout:\n        m.train(mode=False)",
        "def f(m, on):\n    if type(m) == nn.Dropout:\n        m.train(on)",
        "for m in net:\n  if isinstance(m, nn.Dropout):\n    continue\n  m.train()",
        "for m in net:\n  if not isinstance(m, nn.Dropout):\n    f(m)\n  m.train()",
        "def f(m, other):\n    if type(m) == nn.Dropout:\n        other.train()",
        "def f(m):\n    if type(m) == nn.Dropout:\n        pass\n    else:\n        m.train()",
        "model.train()",
        "for m in net.modules():\n  m.train()\n  if isinstance(m, nn.Dropout):\n    m.p = 0.1",
    ],
)
def test_clean(text):
    assert found("from torch import nn\n" + text) == []


def test_branches_share_the_kinds():
    tests = [f"isinstance(m, nn.{kind})" for kind in ALL]
    body = "".join(f"    if {test}:\n        m.train()\n" for test in tests)
    assert found("from torch import nn\nfor m in net.modules():\n" + body) == []
    body = "".join(f"    if {test}:\n        m.train()\n" for test in tests[:-1])
    (hit,) = found("from torch import nn\nfor m in net.modules():\n" + body)
    assert hit.message.startswith("this misses FeatureAlphaDropout, functional")
