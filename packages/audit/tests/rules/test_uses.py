"""Where the attributes of a file are read."""

import textwrap

import pytest

from torchdropout_audit.code import Code
from torchdropout_audit.rules._uses import uses

NET = """
import torch
from torch import nn
import torch.nn.functional as F
from elsewhere import Elsewhere
class A({base}):
    def __init__(self, p):
        super().__init__()
        self.d = nn.Dropout(p)
        self.e = nn.Linear(1, 2)
    def forward(self, x, cfg, other):
{lines}
"""


def used(lines, base="nn.Module"):
    code = Code(NET.format(lines=textwrap.indent(lines, " " * 8), base=base))
    return uses(code), code.classes[0]


@pytest.mark.parametrize(
    ("lines", "applies", "reads"),
    [
        ("return x", False, False),
        ("self.d = x", False, False),
        ("return self.d(x)", True, True),
        ("return self.d", True, True),
        ("self.d.train()", True, True),
        ("return self.d.p", True, True),
        ("self.d.p = 0", False, True),
        ("self.d.append(x)", False, True),
        ("self.d.append", True, True),
        ("self.d.extend(x)", False, True),
        ("if self.d: pass", False, True),
        ("if not self.d: pass", False, True),
        ("x if self.d else x", False, True),
        ("self.d if x else x", True, True),
        ("self.d is None", False, True),
        ("self.d is not None", False, True),
        ("self.d == x", True, True),
        ("-self.d", True, True),
        ("nn.Dropout(self.d)", False, True),
        ("nn.Dropout(p=self.d)", False, True),
        ("F.dropout(x, self.d)", False, True),
        ("F.dropout(x, self.d.p)", True, True),
        ("F.dropout(self.d(x), 0.5)", True, True),
        ("other.d", True, True),
        ("nn.Dropout(other.d)", False, True),
        ("nn.Dropout(float(other.d))", False, True),
        ("nn.Linear(other.d)", True, True),
        ("nn.Dropout(cfg.d)", False, False),
        ("cfg.d", False, False),
        ("cfg.d(x)", True, True),
        ("run(dropout=other.d)", False, False),
        ("run(size=other.d)", True, True),
        ("F.d", False, False),
        ("getattr(self, 'd')", True, True),
        ("getattr(self, 'e')", False, False),
        ("hasattr(self, 'd')", False, True),
        ("getattr(self, x)", True, True),
        ("getattr(self, f'd{x}')", True, True),
        ("getattr(self, f'e{x}')", False, False),
        ("getattr(other, x)", True, True),
        ("getattr(other, 'bias_ih_l' + x)", False, False),
        ("getattr(other, 'e')", False, False),
        ("getattr(other, f'e{x}')", True, True),
        ("x = getattr", True, True),
        ("vars()", True, True),
        ("getattr(F, x)", False, False),
        ("getattr(cfg, x)", False, False),
        ("vars(self)", True, True),
        ("vars(cfg)", False, False),
        ("[m(x) for m in self.children()]", True, True),
        ("[m(x) for m in self.e.children()]", False, False),
        ("[m(x) for m in self.f.children()]", True, True),
        ("self._modules['d'](x)", True, True),
        ("self._modules['e'](x)", False, False),
        ("self._modules[x](x)", True, True),
        ("run(self)", True, True),
        ("print(self)", False, False),
        ("return self", False, False),
        ("return self, x", True, True),
        ("isinstance(self, nn.Module)", False, False),
        ("nn.Module.__init__(self)", False, False),
        ("nn.Module.forward(self)", True, True),
        ("f'{self}'", False, False),
        ("x = self", True, True),
        ("run('d')", True, True),
        ("print('e')", False, False),
    ],
)
def test_how_an_attribute_is_used(lines, applies, reads):
    found, cls = used(lines)
    assert (found.has([cls], "d"), found.reads([cls], "d")) == (applies, reads)
    assert not found.has([], "d") or "d" in found.elsewhere


@pytest.mark.parametrize(
    ("lines", "runs"),
    [
        ("return x", False),
        ("self.run(x)", True),
        ("self.forward(x)", False),
        ("self.d(x)", False),
        ("self.d.run(x)", False),
        ("self.size", False),
        ("super().run(x)", True),
        ("super().__init__()", False),
        ("other.run(x)", False),
        ("call(self.run)", True),
        ("call(run=self.run)", True),
        ("call(size=self.run)", False),
        ("len(self.run)", False),
        ("nn.Linear(self.run)", False),
        ("self.eval()", False),
    ],
)
def test_whether_a_class_may_run_a_method_of_its_base(lines, runs):
    found, cls = used(lines, base="Elsewhere")
    assert found.runs_base(cls) is runs
