"""What expressions build: layers, Modules of the file, and lists that grow."""

import ast
import textwrap

import pytest

from torchdropout_audit.code import Class, Code
from torchdropout_audit.rules import _values
from torchdropout_audit.rules._paths import values
from torchdropout_audit.rules._sequences import Layer
from torchdropout_audit.rules._values import Listed, Made, Maker

HEAD = "import torch\nfrom torch import nn\nimport functools, copy\n"


def shown(value):
    """A value as text; each loop of an element is a `*`, each option a `+` or a `-`."""
    if isinstance(value, Layer):
        if not value.name:
            return f"{ast.unparse(value.node)}: ?"
        given = ", ".join(map(ast.unparse, value.node.args))
        return f"{value.name.removeprefix('torch.nn.')}({given})"
    if isinstance(value, Made):
        return ast.unparse(value.call.node)
    if isinstance(value, Maker):
        target = value.target
        return value.name or (target.name if isinstance(target, Class) else "function")
    assert isinstance(value, Listed)
    return f"{'chain' if value.is_chain else ''}[{', '.join(map(part, value.parts))}]"


def part(one):
    key = "" if one.key is None else f"{one.key.start}={'' if one.key.is_whole else '...'}"
    sides = "".join("+" if side else "-" for _, side in one.under)
    return key + " | ".join(map(shown, one.options)) + "*" * len(one.loops) + sides


def asserted(source):
    """The file, and what it asserts: the expression that is asked for, with its class."""
    code = Code(HEAD + textwrap.dedent(source), "net.py")
    expr = next(each.test for each in ast.walk(code.tree) if isinstance(each, ast.Assert))
    return values(code), expr, code.class_of(expr)


def built(source):
    found, expr, cls = asserted(source)
    return " | ".join(map(shown, found.of(expr, cls)))


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("nn.ReLU()", "ReLU()"),
        ("nn.ReLU", "torch.nn.ReLU"),
        ("other(1)", "other(1): ?"),
        ("1", ""),
        ("nn.ReLU() if a else nn.Tanh()", "ReLU() | Tanh()"),
        ("nn.ReLU() if True else nn.Tanh()", "ReLU()"),
        ("nn.ReLU() if not True else nn.Tanh()", "Tanh()"),
        ("a or nn.ReLU()", "ReLU()"),
        ("(y := nn.ReLU())", "ReLU()"),
        ("nn.ReLU().to(a)", "ReLU()"),
        ("[nn.ReLU(), 'text', *[nn.Tanh()], a]", "[ReLU(), Tanh(), a: ?]"),
        ("[]", "[]"),
        ("{}", "[]"),
        ("()", ""),
        ("{'k': nn.ReLU(), a: nn.Tanh()}", "[k=ReLU(), Tanh()]"),
        ("[('k', nn.ReLU())]", "[k=ReLU()]"),
        ("[('k', nn.ReLU(), 1)]", "[[ReLU()]]"),
        ("[(a, nn.ReLU())]", "[[a: ?, ReLU()]]"),
        ("[nn.ReLU()] + [nn.Tanh()]", "[ReLU(), Tanh()]"),
        ("[nn.ReLU()] * a", "[ReLU()*]"),
        ("a * [nn.ReLU()]", "[ReLU()*]"),
        ("[nn.ReLU()] + ([nn.Tanh()] if a else [nn.GELU()])", "[ReLU(), Tanh()+, GELU()-]"),
        ("[nn.Linear(i, 1) for i in a]", "[Linear(i, 1)*]"),
        ("[m for m in [nn.ReLU()] if m]", "[ReLU()]"),
        ("[m for i in a for m in [nn.ReLU()]]", "[ReLU()*]"),
        ("[m for m in [nn.ReLU()] for i in a]", "[ReLU()*]"),
        ("[i for i in a]", ""),
        ("[a for i in b]", ""),
        ("{'k': nn.ReLU() for i in a}", "[k=ReLU()*]"),
        ("{f'k{i}': nn.ReLU() for i in a}", "[k=...ReLU()*]"),
        ("nn.Sequential(nn.ReLU(), nn.Tanh())", "chain[ReLU(), Tanh()]"),
        ("nn.Sequential(*[nn.ReLU()])", "chain[ReLU()]"),
        ("nn.Sequential(*[])", "chain[]"),
        ("nn.Sequential(*a)", "chain[a: ?]"),
        ("nn.Sequential(a)", "chain[a: ?]"),
        ("nn.Sequential(nn.Sequential(nn.ReLU()))", "chain[chain[ReLU()]]"),
        ("nn.Sequential(OrderedDict([('k', nn.ReLU())]))", "chain[k=ReLU()]"),
        ("nn.Sequential(nn.ReLU() if a else None)", "chain[ReLU()+]"),
        ("nn.Sequential(None if a else nn.ReLU())", "chain[ReLU()-]"),
        ("nn.Sequential(nn.ReLU() if a else nn.Tanh())", "chain[ReLU() | Tanh()]"),
        ("nn.Sequential(nn.ReLU() if a else 1)", "chain[ReLU()]"),
        ("[nn.ReLU() if a else None]", "[ReLU()+]"),
        ("nn.ModuleList([nn.ReLU()])", "[ReLU()]"),
        ("nn.ModuleDict({'k': nn.ReLU()}).values()", "[k=ReLU()]"),
        ("reversed([nn.ReLU()])", "[ReLU()]"),
        ("filter(None, [nn.ReLU()])", "[ReLU()]"),
        ("copy.deepcopy(nn.ReLU())", "ReLU()"),
        ("a.weight_norm(nn.ReLU())", "ReLU()"),
        ("sorted(a, [nn.ReLU()])", "[ReLU()]"),
        ("sorted(a, b, [nn.ReLU()])", ""),
        ("getattr(a)", "getattr(a): ?"),
        ("list()", "[]"),
        ("tuple()", ""),
        ("functools.partial(nn.ReLU, True)", "torch.nn.ReLU"),
        ("functools.partial()", ""),
        ("getattr(nn, a)", "torch.layer"),
        ("getattr(nn, f'Dropout{a}d')", "torch.nn.Dropout2d"),
        ("getattr(nn, 'BatchNorm1d')", "torch.nn.BatchNorm2d"),
        ("getattr(a, 'ReLU')", ""),
        ("sum([[nn.ReLU()], [nn.Tanh()]], [])", "[[ReLU()], [Tanh()]]"),
        ("nn.ModuleList(sum([[nn.ReLU()], [nn.Tanh()]], []))", "[ReLU(), Tanh()]"),
        ("nn.ModuleList(chain.from_iterable([nn.ReLU()] for i in a))", "[ReLU()*]"),
        ("(lambda: nn.ReLU())()", "ReLU()"),
        ("(nn.ReLU if a else nn.Tanh)()", "ReLU() | Tanh()"),
    ],
)
def test_expressions(expr, expected):
    assert built(f"def f(a, b):\n    assert {expr}\n") == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("0", "ReLU()"),
        ("1", "Tanh()"),
        ("2", "GELU()"),
        ("-1", "GELU()"),
        ("-3", "ReLU()"),
        ("3", ""),
        ("-4", ""),
        ("a", "ReLU() | Tanh() | GELU()"),
        ("1:", "[ReLU(), Tanh(), GELU()]"),
        ("True", "ReLU() | Tanh() | GELU()"),
    ],
)
def test_elements_by_index(key, expected):
    source = f"def f(a):\n    assert [nn.ReLU(), nn.Tanh(), nn.GELU()][{key}]\n"
    assert built(source) == expected


@pytest.mark.parametrize(
    ("listed", "key", "expected"),
    [
        ("[nn.ReLU()] * a", "0", "ReLU()"),
        ("[nn.ReLU()] * a + [nn.Tanh()]", "-1", "Tanh()"),
        ("[nn.ReLU()] * a + [nn.Tanh()]", "0", ""),
        ("[nn.Tanh()] + [nn.ReLU()] * a", "0", "Tanh()"),
        ("[nn.Tanh()] + [nn.ReLU()] * a", "1", ""),
        ("[nn.Tanh()] + [nn.ReLU()] * a", "-1", ""),
        ("[nn.ReLU()] * a + [nn.Tanh(), nn.GELU()]", "-1", "GELU()"),
        ("[nn.Tanh()] + ([nn.ReLU()] if a else [])", "0", "Tanh()"),
        ("[nn.Tanh()] + ([nn.ReLU()] if a else [])", "1", ""),
        ("[nn.Tanh()] + ([nn.ReLU()] if a else [nn.GELU()])", "-1", "GELU() | ReLU()"),
        ("[nn.Tanh()] + ([nn.ReLU()] if a else [nn.GELU()])", "1", ""),
        (
            "[nn.Linear(1, 2)] + ([nn.Linear(3, 4)] if a else [])",
            "1",
            "Linear(1, 2) | Linear(3, 4)",
        ),
        ("{'k': nn.ReLU(), 'm': nn.Tanh()}", "'k'", "ReLU()"),
        ("{'k': nn.ReLU(), b: nn.Tanh()}", "'k'", "ReLU() | Tanh()"),
        ("{'k': nn.ReLU(), 'm': nn.Tanh()}", "b", "ReLU() | Tanh()"),
        ("nn.ReLU()", "0", ""),
        ("[nn.Tanh()] + ([nn.ReLU()] if a else [])", "-1", ""),
        ("[A(1)] + ([A(2)] if a else [])", "1", "A(1) | A(2)"),
        ("[A(1)] + ([B(2)] if a else [])", "1", ""),
        ("[A(1)] + ([nn.ReLU()] if a else [])", "1", ""),
        ("[[nn.ReLU()]] + ([[nn.Tanh()]] if a else [])", "1", "[ReLU()] | [Tanh()]"),
    ],
)
def test_an_element_that_may_be_elsewhere(listed, key, expected):
    # What a loop or an option adds before an element moves it.
    classes = "class A(nn.Module): pass\nclass B(nn.Module): pass\n"
    assert built(f"{classes}def f(a, b):\n    assert ({listed})[{key}]\n") == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("x = nn.ReLU()", "ReLU()"),
        ("x = nn.ReLU(); x = nn.Tanh()", "Tanh()"),
        ("x = nn.ReLU()\nif a: x = nn.Tanh()", "ReLU() | Tanh()"),
        ("x = nn.ReLU()\nif a: x = nn.Tanh()\nx = nn.GELU()", "GELU()"),
        ("if a: x = nn.ReLU()\nelse: x = nn.Tanh()", "ReLU() | Tanh()"),
        ("if True: x = nn.ReLU()\nelse: x = nn.Tanh()", "ReLU()"),
        ("x = nn.ReLU() if a else None", "ReLU()"),
        ("x = y = nn.ReLU()", "ReLU()"),
        ("x = x", ""),
        ("for x in [nn.ReLU(), nn.Tanh()]: pass", "ReLU() | Tanh()"),
        ("for x in enumerate([nn.ReLU()]): pass", "[] | [ReLU()]"),
        ("for i, x in enumerate([nn.ReLU(), nn.Tanh()]): pass", "ReLU() | Tanh()"),
        ("for x, y in enumerate([nn.ReLU(), nn.Tanh()]): pass", ""),
        ("for x, y in zip([nn.ReLU()], [nn.Tanh()]): pass", "ReLU()"),
        ("for y, x in zip([nn.ReLU()], [nn.Tanh()]): pass", "Tanh()"),
        ("for k, x in {'k': nn.ReLU()}.items(): pass", "ReLU()"),
        ("for k, x in nn.Sequential(nn.ReLU()).named_children(): pass", "ReLU()"),
        ("for k, (x, y) in enumerate(zip([nn.ReLU()], [nn.Tanh()])): pass", "ReLU()"),
        ("for x, y in [(nn.ReLU(), nn.Tanh()), (nn.GELU(), a)]: pass", "ReLU() | GELU()"),
        ("for y, x in [(nn.ReLU(), nn.Tanh()), (nn.GELU(),)]: pass", "Tanh()"),
        ("for y, x in [(nn.ReLU(), nn.Tanh())] * a: pass", "Tanh()"),
        ("for y, x in {'k': (nn.ReLU(), nn.Tanh())}.values(): pass", "Tanh()"),
        ("for y, x in zip([nn.ReLU()], [nn.Tanh()], [nn.GELU()]): pass", ""),
        ("for x in other([nn.ReLU()]): pass", ""),
        ("for x in zip: pass", ""),
    ],
)
def test_names(lines, expected):
    assert built(f"def f(a):\n{textwrap.indent(lines, '    ')}\n    assert x\n") == expected


GROWN = [
    ("x.append(nn.ReLU())", "[ReLU()]"),
    ("x.append(nn.ReLU()); x.append(nn.Tanh())", "[ReLU(), Tanh()]"),
    ("x += [nn.ReLU(), nn.Tanh()]", "[ReLU(), Tanh()]"),
    ("x = x + [nn.ReLU()]", "[ReLU()]"),
    ("x.append(nn.ReLU()); x = x + [nn.Tanh()]; x += [nn.GELU()]", "[ReLU(), Tanh(), GELU()]"),
    ("x.extend([nn.ReLU()])", "[ReLU()]"),
    ("x.extend(nn.ReLU() for i in a)", "[ReLU()*]"),
    ("x.update({'k': nn.ReLU()})", "[k=ReLU()]"),
    ("x['k'] = nn.ReLU()", "[k=ReLU()]"),
    ("x.add_module('k', nn.ReLU())", "[k=ReLU()]"),
    ("x.append(('k', nn.ReLU()))", "[k=ReLU()]"),
    ("x.append(nn.ReLU()); x.insert(0, nn.Tanh())", "[Tanh(), ReLU()]"),
    ("x.append(nn.ReLU()); x.insert(1, nn.Tanh())", "[ReLU(), Tanh()]"),
    ("x += [nn.ReLU(), nn.GELU()]; x.insert(1, nn.Tanh())", "[ReLU(), Tanh(), GELU()]"),
    ("x.append(nn.ReLU()); x.insert(9, nn.Tanh())", "[ReLU(), Tanh()]"),
    ("x += [nn.ReLU(), nn.GELU()]; x.insert(-1, nn.Tanh())", "[ReLU(), Tanh(), GELU()]"),
    ("x += [nn.ReLU(), nn.GELU()]; x.insert(a, nn.Tanh())", "[ReLU(), GELU(), Tanh()]"),
    ("x += [nn.ReLU(), nn.GELU()]; x[0] = nn.Tanh()", "[ReLU(), GELU(), Tanh()]"),
    ("x.append(nn.ReLU() if a else None)", "[ReLU()+]"),
    ("if a: x.append(nn.ReLU())", "[ReLU()+]"),
    ("if a: pass\nelse: x.append(nn.ReLU())", "[ReLU()-]"),
    ("if a:\n    if b: pass\n    else: x.append(nn.ReLU())", "[ReLU()+-]"),
    ("if False: x.append(nn.ReLU())", "[]"),
    ("if True: x.append(nn.ReLU())", "[ReLU()]"),
    ("for i in a: x.append(nn.ReLU())", "[ReLU()*]"),
    ("while a: x.append(nn.ReLU())", "[ReLU()*]"),
    ("for i in a:\n    if i: x.append(nn.ReLU())", "[ReLU()*+]"),
    ("for i in a:\n    for j in b: x += [nn.ReLU() for k in j]", "[ReLU()***]"),
    ("[x.append(nn.ReLU()) for i in a]", "[ReLU()*]"),
    ("x.append(nn.ReLU()) if a else x.append(nn.Tanh())", "[ReLU()+, Tanh()-]"),
    ("add(x)", "[add(x): ?]"),
    ("print(x)", "[]"),
    ("x.pop()", "[]"),
    ("y.append(nn.ReLU())", "[]"),
    ("x -= [nn.ReLU()]", "[]"),
    ("x.append(nn.ReLU()); x = []", "[]"),
    ("grow(x)", "[ReLU()]"),
    ("grow(more=1, y=x)", "[ReLU()]"),
    ("for i in a: grow(x)", "[ReLU()*]"),
    ("if a: grow(x)", "[ReLU()+]"),
    ("grow(x); grow(x)", "[ReLU(), ReLU()]"),
    ("grow(y)", "[]"),
    ("def g(): x.append(nn.ReLU())\ng()", "[ReLU()]"),
    ("def g(): x.append(nn.ReLU())", "[]"),
    ("def g(x): x.append(nn.ReLU())\ng(b)", "[]"),
]
GROWS = "def grow(y, more=0):\n    y.append(nn.ReLU())\n"


@pytest.mark.parametrize(("lines", "expected"), GROWN)
def test_a_list_that_grows(lines, expected):
    lines = textwrap.indent(lines, "    ")
    assert built(f"{GROWS}def f(a, b, y):\n    x = []\n{lines}\n    assert x\n") == expected


def test_what_is_added_after_a_list_is_read_is_not_in_it():
    lines = "    x.append(nn.ReLU())\n    assert x\n    x.append(nn.Tanh())\n"
    assert built(f"def f(a):\n    x = []\n{lines}") == "[ReLU()]"


def test_what_was_added_to_the_list_before_is_not_in_another():
    lines = "    x.append(nn.ReLU())\n    x = [nn.Tanh()]\n    x.append(nn.GELU())\n"
    assert built(f"def f(a):\n    x = []\n{lines}    assert x\n") == "[Tanh(), GELU()]"


def test_the_loop_around_a_list_is_not_one_of_its_elements():
    lines = "    for i in a:\n        x = []\n        for j in i: x.append(nn.ReLU())\n"
    assert built(f"def f(a):\n{lines}        assert x\n") == "[ReLU()*]"


NET = """
class Net(nn.Module):
    def build(self):
        self.x.append(nn.GELU())
    def __init__(self, a, b):
        super().__init__()
{lines}
    def forward(self, x):
        assert {expr}
"""


@pytest.mark.parametrize(
    ("lines", "expr", "expected"),
    [
        ("self.y = nn.ReLU()", "self.y", "ReLU()"),
        ("self.y = nn.ReLU()", "self.y(x)", ""),
        ("self.y = nn.ReLU(); self.y2 = nn.Tanh()", "self.y", "ReLU()"),
        ("self.y = nn.ReLU(); self.y2 = nn.Tanh()", "Net(1, 2).y", "ReLU()"),
        ("self.y = nn.ReLU()", "other.y", ""),
        ("self.y = nn.ReLU()", "getattr(self, 'y')", "ReLU()"),
        ("self.y0 = nn.ReLU(); self.y1 = nn.Tanh()", "getattr(self, f'y{x}')", "ReLU() | Tanh()"),
        ("self.y0 = nn.ReLU(); self.z = nn.Tanh()", "getattr(self, f'y{x}')", "ReLU()"),
        ("self.y = nn.ReLU()", "getattr(self, f'yy{x}')", ""),
        ("self.y0 = nn.ReLU()", "self._modules['y0']", "ReLU()"),
        ("self.y0 = nn.ReLU()", "self._modules[f'y{x}']", "ReLU()"),
        ("self.y0 = nn.ReLU()", "self._modules[x]", ""),
        ("self.y0 = nn.ReLU()", "other[x]", ""),
        ("setattr(self, 'y', nn.ReLU())", "self.y", "ReLU()"),
        ("setattr(self, f'y{a}', nn.ReLU())", "self.y1", "ReLU()"),
        ("setattr(self, f'y{a}', nn.ReLU())", "self.z", ""),
        ("setattr(self, a, nn.ReLU())", "self.y", ""),
        ("setattr(b, 'y', nn.ReLU())", "self.y", ""),
        ("setattr(self, 'y')", "self.y", ""),
        ("self.add_module('y', nn.ReLU())", "self.y", "ReLU()"),
        ("self.register_module('y', nn.ReLU())", "self.y", "ReLU()"),
        ("b.add_module('y', nn.ReLU())", "self.y", ""),
        ("self.set('y', nn.ReLU())", "self.y", ""),
        (
            "setattr(self, f'y{a}', nn.ReLU()); self.y2 = nn.Tanh()",
            "getattr(self, f'y{x}')",
            "ReLU()",
        ),
        ("if a: self.y = nn.ReLU()\nelse: self.y = nn.Tanh()", "self.y", "ReLU() | Tanh()"),
        ("if False: self.y = nn.ReLU()\nelse: self.y = nn.Tanh()", "self.y", "Tanh()"),
        ("self.x = nn.ModuleList()", "self.x", "[GELU()]"),
        ("self.x = nn.ModuleList(); self.x.append(nn.ReLU())", "self.x", "[ReLU(), GELU()]"),
        (
            "self.x = [nn.ReLU()]; self.x = self.x + [nn.Tanh()]",
            "self.x",
            "[ReLU(), Tanh(), GELU()]",
        ),
        ("self.x = []; self.x += [nn.ReLU()]", "self.x", "[ReLU(), GELU()]"),
        ("self.x = []; self.x['k'] = nn.ReLU()", "self.x", "[k=ReLU(), GELU()]"),
        ("self.x = []; grow(self.x)", "self.x", "[ReLU(), GELU()]"),
        ("self.x = []; self.build()", "self.x", "[GELU()]"),
        ("self.x = []; self.build(); self.x.append(nn.ReLU())", "self.x", "[GELU(), ReLU()]"),
        ("self.x = []\nfor i in a: self.build()", "self.x", "[GELU()*]"),
        ("self.x = []\nif a: self.build()", "self.x", "[GELU()+]"),
        (
            "self.x = nn.Sequential(); self.x.add_module('k', nn.ReLU())",
            "self.x",
            "chain[k=ReLU(), GELU()]",
        ),
        ("self.y = []", "self.y", "[]"),
        ("self.y = nn.ReLU()", "self.build", "function"),
        ("self.y = nn.ReLU()", "Net", "Net"),
        ("self.y = nn.ReLU()", "Net(1, 2)", "Net(1, 2)"),
        ("self.y = nn.Linear(a, 1)", "Net(1, 2).y", "Linear(a, 1)"),
        ("self.y = nn.Linear(a, 1)", "nn.Linear(a, 1).y", ""),
        ("self.y = a", "Net(nn.ReLU(), 2).y", "ReLU()"),
        ("self.y = a", "[Net(nn.ReLU(), 2).y, Net(nn.Tanh(), 2).y]", "[ReLU(), Tanh()]"),
        (
            "self.y = a",
            "[self.y, Net(nn.Tanh(), 2).y, Net(nn.GELU(), 2)]",
            "[Tanh() | GELU(), Tanh(), Net(nn.GELU(), 2)]",
        ),
        (
            "self.y = nn.ReLU() if a else nn.Tanh()",
            "[Net(True, 2).y, Net(False, 2).y]",
            "[ReLU(), Tanh()]",
        ),
        (
            "if a: self.y = nn.ReLU()\nelse: self.y = nn.Tanh()",
            "[Net(True, 2).y, Net(False, 2).y]",
            "[ReLU(), Tanh()]",
        ),
    ],
)
def test_attributes(lines, expr, expected):
    lines = textwrap.indent(lines, "        ")
    assert built(GROWS + NET.format(lines=lines, expr=expr)) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def g(a): assert a\ng(nn.ReLU())", "ReLU()"),
        ("def g(a): assert a\ng(nn.ReLU()); g(a=nn.Tanh())", "ReLU() | Tanh()"),
        ("def g(a=nn.ReLU()): assert a", "ReLU()"),
        ("def g(a=nn.ReLU()): assert a\ng(nn.Tanh())", "Tanh()"),
        ("def g(a=nn.ReLU()): assert a\ng()", "ReLU()"),
        ("def g(a): assert a", ""),
        ("def g(a):\n    def h(): assert a\ng(nn.ReLU())", "ReLU()"),
        ("def g(a):\n    a = nn.Tanh()\n    assert a\ng(nn.ReLU())", "ReLU() | Tanh()"),
        ("x = nn.ReLU()\ndef g(): assert x", "ReLU()"),
        ("x = nn.ReLU()\nx = nn.Tanh()\ndef g(): assert x", "ReLU() | Tanh()"),
        ("def g(a): return nn.ReLU()\nassert g(1)", "ReLU()"),
        (
            "def g(a):\n    if a: return nn.ReLU()\n    return nn.Tanh()\nassert g(1)",
            "ReLU() | Tanh()",
        ),
        ("def g(a):\n    def h(): return nn.ReLU()\n    return\nassert g(1)", ""),
        ("def g(a): return a\nassert g(nn.ReLU())", "ReLU()"),
        ("def g(a): return g(a)\nassert g(1)", ""),
        ("from other import pack as tuple\nassert tuple(nn.ReLU())", "other.pack(nn.ReLU())"),
        ("from other import deepcopy as again\nassert again(nn.ReLU())", "ReLU()"),
        ("from functools import partial as later\nassert later(nn.ReLU)", "torch.nn.ReLU"),
        ("from other import go\nassert go(nn.ReLU())", "other.go(nn.ReLU())"),
        ("from other import go\nassert go.to(nn.ReLU())", "other.go.to(nn.ReLU())"),
    ],
)
def test_functions(source, expected):
    assert built(source) == expected


PARTS = """
class Net(nn.Module):
    def __init__(self, a, wide=False):
        super().__init__()
        self.y = a
        self.p, self.q = self.get(), self.get()
        self.inner = Net(nn.GELU())
        if wide:
            self.z = nn.ELU()
        else:
            self.z = nn.SELU()
        self.wide = wide
        self.r, self.s = self.get_z(), self.get_s()
        self.t = self.get_z()
        self.u = self.inner.y

    def get_z(self):
        return self.z

    def get_s(self):
        return nn.CELU() if self.wide else nn.Mish()

    def get(self):
        return self.y

def f():
    m = Net(nn.ReLU(), True)
    n = Net(nn.Tanh())
    assert {expr}
"""


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("[m.y, n.y]", "[ReLU(), Tanh()]"),
        ("[m.p, m.q, n.q, n.p]", "[ReLU(), ReLU(), Tanh(), Tanh()]"),
        ("[m.inner.y, n.inner.q]", "[GELU(), GELU()]"),
        ("[m.u, n.u]", "[GELU(), GELU()]"),
        ("[m.z, n.z]", "[ELU(), SELU()]"),
        ("[m.r, n.r, m.t, n.t]", "[ELU(), SELU(), ELU(), SELU()]"),
        ("[m.s, n.s]", "[CELU(), Mish()]"),
        ("m.inner.inner.inner.y", "GELU()"),
        ("m.get()", "m.get(): ?"),
    ],
)
def test_each_module_has_the_parts_that_its_call_gives(expr, expected):
    assert built(PARTS.format(expr=expr)) == expected


def test_what_holds_in_the_module_that_is_read():
    found, expr, cls = asserted(PARTS.format(expr="[m, n, nn.ReLU()]"))
    wide = next(each for each in ast.walk(found.code.tree) if isinstance(each, ast.If)).test
    plain = expr.elts[2]
    known = found.of(plain, cls)
    (m,), (n,) = (found.of(each, cls) for each in expr.elts[:2])
    assert found.truth(wide) is None
    for made, is_wide in ((m, True), (n, False)):
        with found.within(made):
            assert found.stack == ((made.cls, made.call),)
            assert found.truth(wide) is is_wide
            assert found.is_always(wide, is_wide)
            assert not found.is_always(wide, not is_wide)
            assert found.of(plain, cls) is known
            own = found.of(m.cls.assigned("y")[0].value, m.cls)
            assert found.of(m.cls.assigned("y")[0].value, m.cls) is own
            assert [*map(shown, own)] == [f"{'ReLU' if is_wide else 'Tanh'}()"]
    assert found.stack == ()


SEQUENTIALS = """
class Base(nn.Sequential):
    def __init__(self, *layers):
        super().__init__(nn.ReLU(), *layers)
        self.append(nn.Tanh())

class Net(Base):
    def __init__(self):
        super().__init__(nn.GELU())
        self.add_module("k", nn.ELU())

class Same(Net):
    pass

class Plain(nn.Sequential):
    pass

class Other(nn.Module):
    def __init__(self):
        super().__init__()

class Circle(Circular):
    def __init__(self):
        super().__init__(nn.ReLU())

class Circular(Circle, nn.Sequential):
    def __init__(self):
        super().__init__(nn.Tanh())

assert 1
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Base", "chain[ReLU(), layers: ?, Tanh()]"),
        ("Net", "chain[ReLU(), layers: ?, Tanh(), k=ELU()]"),
        ("Same", "chain[ReLU(), layers: ?, Tanh(), k=ELU()]"),
        ("Plain", "chain[]"),
        ("Other", None),
    ],
)
def test_the_layers_of_a_class_that_is_a_sequential(name, expected):
    found, _, _ = asserted(SEQUENTIALS)
    chain = found.chain_of(next(each for each in found.code.classes if each.name == name))
    assert (chain if chain is None else shown(chain)) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("x = nn.Sequential(nn.ReLU())", ["chain[ReLU()]"]),
        ("return nn.Sequential(nn.ReLU())", ["chain[ReLU()]"]),
        ("x = nn.Sequential(nn.ReLU()); x.append(nn.Tanh())", ["chain[ReLU(), Tanh()]"]),
        (
            "x = nn.Sequential(nn.ReLU()); x.append(nn.Tanh()); b(x)",
            ["chain[ReLU(), Tanh(), b(x): ?]"],
        ),
        (
            "x = nn.Sequential(nn.ReLU()); b = x, x; x.append(nn.Tanh()); b = x",
            ["chain[ReLU(), Tanh()]"],
        ),
        ("self.x = nn.Sequential(nn.ReLU()); self.x.append(nn.Tanh())", ["chain[ReLU(), Tanh()]"]),
        ("self.x = nn.Sequential(nn.ReLU()); self.x2 = nn.Tanh()", ["chain[ReLU()]"]),
        ("b.x = nn.Sequential(nn.ReLU()); self.x = nn.Tanh()", ["chain[ReLU()]"]),
    ],
)
def test_a_sequential_that_is_finished_later(lines, expected):
    lines = textwrap.indent(lines, "        ")
    source = f"class Net(nn.Module):\n    def f(self, b):\n{lines}\n"
    found, _, _ = asserted(f"{source}assert 1\n")
    call = next(each for each in found.code.calls if each.name == "torch.nn.Sequential")
    assert [*map(shown, found.finished(call))] == expected


def unrolled(lines):
    lines = textwrap.indent(lines, "    ")
    above = "\n" * 20  # lines are compared, and not columns
    found, expr, cls = asserted(f"{above}def f(a, b):\n    x = []\n{lines}\n    assert x\n")
    (listed,) = found.of(expr, cls)
    return [
        " ".join([*map(shown, one.options), *(f"{side}{turns}" for (_, turns), side in one.under)])
        for one in found.unrolled(listed.parts)
    ]


LAST = """
for i in range(a):
    x.append(nn.ReLU())
    if {test}:
        x.append(nn.Tanh())
        x.append(nn.GELU())
    else:
        x.append(nn.ELU())
"""
EACH, END = ["Tanh()", "GELU()"], ["ELU()"]


def in_turns(*turns):
    """The layers of each turn, with the turn in which their test is made."""
    return [
        each if each == "ReLU()" else f"{each} {each != 'ELU()'}({turn},)"
        for turn, layers in enumerate(turns)
        for each in ["ReLU()", *layers]
    ]


@pytest.mark.parametrize(
    ("test", "turns"),
    [
        ("b", [EACH + END, EACH + END]),
        ("i < a - 1", [EACH, EACH, END]),
        ("i != a - 1", [EACH, EACH, END]),
        ("i == a - 1", [END, END, EACH]),
        ("i > a - 1", [EACH + END, EACH + END]),
        ("i < a + 1", [EACH + END, EACH + END]),
        ("i < a", [EACH + END, EACH + END]),
        ("a - 1 > i", [EACH + END, EACH + END]),
        ("len(x) < a - 1", [EACH + END, EACH + END]),
        ("not i < a - 1", [EACH + END, EACH + END]),
    ],
)
def test_the_last_turn_of_a_loop(test, turns):
    assert unrolled(LAST.format(test=test)) == in_turns(*turns)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("x += [nn.ReLU(), nn.Tanh()]", ["ReLU()", "Tanh()"]),
        (
            "for i in a: x += [nn.ReLU(), nn.Tanh()]\nx.append(nn.GELU())",
            ["ReLU()", "Tanh()", "ReLU()", "Tanh()", "GELU()"],
        ),
        (
            "for i in a:\n    x.append(nn.ReLU())\n    for j in b: x.append(nn.Tanh())",
            ["ReLU()", "Tanh()", "Tanh()"] * 2,
        ),
        (
            "for i in a:\n    for j in b: x.append(nn.Tanh())\nfor i in a: x.append(nn.ReLU())",
            ["Tanh()"] * 4 + ["ReLU()"] * 2,
        ),
        ("if b:\n    for i in a: x.append(nn.ReLU())", ["ReLU() True()"] * 2),
        ("for i in a:\n    if b: x.append(nn.ReLU())", ["ReLU() True(0,)", "ReLU() True(1,)"]),
        ("for i in a: x.append(nn.ReLU() if b else None)", ["ReLU() True(0,)", "ReLU() True(1,)"]),
        (
            "for i in a:\n    for j in a:\n        if b: x.append(nn.ReLU())",
            [f"ReLU() True({i}, {j})" for i in (0, 1) for j in (0, 1)],
        ),
        (
            "for i in a:\n    if b:\n        for j in a: x.append(nn.ReLU())",
            [f"ReLU() True({i},)" for i in (0, 0, 1, 1)],
        ),
        ("x += [nn.ReLU() for i in a]", ["ReLU()"] * 2),
    ],
)
def test_two_turns_of_each_loop(lines, expected):
    assert unrolled(lines) == expected


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("[*", "]"),
        ("(", " + [])"),
        ("([] + ", ")"),
        ("(", " * 2)"),
        ("(2 * ", ")"),
        ("(", " if a else [])"),
        ("[m for m in ", "]"),
        ("[m for i in a for m in ", "]"),
        ("list(", ")"),
        ("(a or ", ")"),
        ("nn.ModuleList(", ")"),
    ],
)
def test_expressions_are_read_to_some_depth(before, behind):
    def nested(levels):
        return built(f"def f(a):\n    assert [*{before * levels}[nn.ReLU()]{behind * levels}]\n")

    assert "ReLU" in nested(11)
    assert "ReLU" not in nested(24)


def test_reading_ends_and_begins_again_for_another_file(monkeypatch):
    monkeypatch.setattr(_values, "_MOST_READ", 3)
    monkeypatch.setattr(Code, "size", 0)
    layers = "[nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()]"
    found, expr, cls = asserted(f"assert [{layers}, {layers}]")
    for each in expr.elts:
        assert [*map(shown, found.of(each, cls))] == ["[ReLU(), Tanh(), nn.GELU(): ?, nn.ELU(): ?]"]
        assert found.of(each.elts[2], cls) == ()
        found.refill()


def test_functions_that_add_to_a_list_are_followed_to_some_depth():
    steps = "".join(f"def g{i}(y): g{i + 1}(y)\n" for i in range(30))
    steps += "def g30(y): y.append(nn.ReLU())\n"
    for first, expected in ((20, "[ReLU()]"), (0, "[]")):
        assert built(f"{steps}def f():\n    x = []\n    g{first}(x)\n    assert x\n") == expected


def test_functions_that_add_to_a_list_by_calling_themselves():
    source = "def g(y):\n    y.append(nn.ReLU())\n    g(y)\ndef f():\n    x = []\n    g(x)\n"
    assert built(f"{source}    assert x\n").startswith("[ReLU(), ReLU(), ")
    source = "class A:\n    def __init__(self):\n        self.x = []\n        self.g()\n"
    source += "    def g(self):\n        self.x.append(nn.ReLU())\n        self.g()\n"
    assert built(f"{source}    def f(self):\n        assert self.x\n") == "[ReLU()]"
