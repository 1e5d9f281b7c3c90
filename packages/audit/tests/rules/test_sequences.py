"""The paths of values through layers, and the layers that calls build."""

import ast
import textwrap

import pytest

from _marks import HEAD
from torchdropout_audit.code import Code
from torchdropout_audit.rules import _sequences
from torchdropout_audit.rules._sequences import Layer, Reader, called, drops, kind

NET = """
class Block(nn.Module):
    def forward(self, z):
        return z.sigmoid()

class BlockDropout(Block):
    pass

class Net(nn.Module):
    def __init__(self, d, p, flag):
        super().__init__()
        self.drop, self.fc, self.relu = nn.Dropout(p), nn.Linear(d, d), nn.ReLU()
        self.rnn, self.scale = nn.LSTM(d, d), d ** -0.5
        self.block, self.block_drop = Block(), BlockDropout()
        self.seq = nn.Sequential(nn.Linear(d, d), nn.ReLU())

    def inner(self, z):
        return z.tanh()

    def again(self, z):
        return self.again(z.squeeze())

    def outer(self, z):
        return self.inner(z.contiguous())

    def outermost(self, z):
        return self.outer(z)

    def alone(self):
        return self.y.view(1)

    def forward(self, x, y, mask, flag):
"""


def said(path):
    """A path as text, the last layer first: `Dropout < (ReLU) < Linear`, where ReLU is loose."""
    found = []
    while path is not None:
        name = kind(path.last) or "?"
        found.append(f"({name})" if path.loose else name)
        path = path.earlier
    return " < ".join(found)


def paths(body):
    """The paths of a body of `forward` whose last layer is known; those that end have a `$`."""
    code = Code(HEAD + NET + textwrap.indent(textwrap.dedent(body), " " * 8))
    found = [said(path) + " $" * path.ends for path in Reader(code).read() if path.last.name]
    others = ["sigmoid $", "tanh $", "squeeze", "contiguous", "view < ? $"]  # in others
    assert found[: len(others)] == others
    return found[len(others) :]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("x = self.fc(x)\nx = self.drop(x)\nreturn self.relu(x)",
         ["Linear", "Dropout < Linear", "ReLU < Dropout < Linear $"]),
        ("return self.relu(self.drop(x))", ["Dropout", "ReLU < Dropout $"]),
        ("x = self.drop(x)\nreturn x", ["Dropout", "Dropout $"]),
        ("x = self.drop(x)\nreturn x, y", ["Dropout", "Dropout $"]),
        ("return [self.drop(x), self.relu(y)]", ["Dropout $", "ReLU $"]),
        ("x: object = self.drop(x)\nx = self.relu(x)", ["Dropout", "ReLU < Dropout"]),
        ("x, h = self.rnn(x)\nx = self.relu(x)", ["LSTM", "ReLU < LSTM"]),
        ("h, x = self.rnn(x)\nx = self.relu(x)", ["LSTM", "ReLU"]),
        ("x = y = self.drop(x)\nx = self.relu(x)", ["Dropout", "ReLU"]),
        ("self.x = self.drop(x)\nx = self.relu(x)", ["Dropout", "ReLU"]),
        ("x = self.drop(x)\nx = y\nx = self.relu(x)", ["Dropout", "ReLU"]),
        # What is in the arguments of what is not known.
        ("return self.fc(self.drop(self.relu(x) + y) + y)",
         ["ReLU", "Dropout < ?", "Linear < ? $"]),
        ("self.drop(x)", ["Dropout"]),
        ("return self.relu((self.fc(x), [self.drop(x)]))", ["Dropout", "Linear", "ReLU < ? $"]),
        ("return self.relu((x, [self.drop(z) for z in y]))", ["ReLU < ? $"]),
        ("return self.drop(self.relu(elsewhere(*x)))", ["ReLU < ?", "Dropout < ReLU < ? $"]),
        ("return self.relu(nn.ReLU(self.drop(x)))", ["Dropout", "ReLU < ? < Dropout $"]),
        ("return nn.Tanh()(self.drop(x))", ["Dropout", "Tanh < Dropout $"]),
        ("return self.drop(self.seq(x))", ["Linear", "ReLU < Linear", "Dropout < ReLU < Linear $"]),
        # One of several values.
        ("return self.relu(self.rnn(x)[0])", ["LSTM", "ReLU < LSTM $"]),
        ("return self.relu(self.rnn(x)[1])",
         ["LSTM", "select < LSTM", "ReLU < select < LSTM $"]),
        ("x = self.drop(x)\nreturn self.relu(x[0])",
         ["Dropout", "select < Dropout", "ReLU < select < Dropout $"]),
        ("x = self.drop(x)\nz = [x]\nreturn self.relu(z[-1])",
         ["Dropout", "select < Dropout", "ReLU < select < Dropout $"]),
        ("x = self.drop(x)\nz = [x, y]\nreturn self.relu(z[-1])",
         ["Dropout", "select < ?", "ReLU < select < ? $"]),
        ("x = self.drop(x)\nreturn torch.where(mask, x, y)", ["Dropout", "where < Dropout $"]),
        ("x = self.drop(x)\nreturn torch.where(x)", ["Dropout", "where < Dropout $"]),
        ("x = self.drop(x)\nreturn torch.where(y, 1, x)", ["Dropout", "where < ? $"]),
        # Scales and masks.
        ("x = self.fc(x)\nx *= 2\nreturn self.drop(x)", ["Linear", "Dropout < mul < Linear $"]),
        ("x = self.fc(x)\nx += mask\nreturn self.drop(x)", ["Linear", "Dropout < mul < Linear $"]),
        ("x = self.fc(x)\nx += y\nreturn self.drop(x)", ["Linear", "Dropout $"]),
        ("x = self.fc(x)\nx += self.relu(y)\nreturn self.drop(x)", ["Linear", "ReLU", "Dropout $"]),
        ("y *= 2\nreturn self.drop(y)", ["Dropout $"]),
        # Names that something else binds.
        ("x = self.drop(x)\ndef x(): pass\nreturn self.relu(x)", ["Dropout", "ReLU $"]),
        ("x = self.drop(x)\nwith y as x:\n    pass\nreturn self.relu(x)", ["Dropout", "ReLU $"]),
        ("x = self.drop(x)\nwith y as z:\n    x = self.fc(x)\nreturn self.relu(x)",
         ["Dropout", "Linear < Dropout", "ReLU < Linear < Dropout $"]),
        ("z = self.drop(x)\ny = self.fc(z := x)\nreturn self.relu(z)",
         ["Dropout", "Linear < ?", "ReLU $"]),
        ("x = self.drop(x)\nx.append(y)\nreturn self.relu(x)", ["Dropout", "ReLU $"]),
        ("x = self.drop(x)\nx.insert(0, y)\nreturn self.relu(x)", ["Dropout", "ReLU $"]),
        ("x = self.drop(x)\nx.sort(y)\nreturn self.relu(x)", ["Dropout", "ReLU < Dropout $"]),
        ("x = self.drop(x)\nself.x.append(x)\nreturn self.relu(x)",
         ["Dropout", "ReLU < Dropout $"]),
        # Methods of the file, behind a dropout alone.
        ("return self.inner(x)", []),
        ("x = self.fc(x)\nreturn self.inner(x)", ["Linear"]),
        ("x = self.drop(x)\ny = self.inner(x)\nreturn self.inner(x)",
         ["Dropout", "tanh < (Dropout) $", "tanh < (Dropout) $"]),
        ("x = self.drop(x)\nreturn self.again(x)", ["Dropout", "squeeze < (Dropout)"]),
        ("x = self.drop(x)\nreturn self.outer(x)",
         ["Dropout", "contiguous < (Dropout)", "tanh < (contiguous) < (Dropout) $"]),
        ("x = self.drop(x)\nreturn self.outermost(x)", ["Dropout", "contiguous < (Dropout)"]),
        ("x = self.drop(x)\nreturn self.alone(x)", ["Dropout"]),
        ("x = self.drop(x)\nreturn self.block(x)", ["Dropout", "sigmoid < (Dropout) $"]),
        ("x = self.drop(x)\nreturn self.block_drop(x)", ["Dropout"]),
        ("x = self.drop(x)\nreturn self.inner(x)", ["Dropout", "tanh < (Dropout) $"]),
        ("x = self.drop(x)\nx = self.fc(x)\nreturn self.inner(x)",
         ["Dropout", "Linear < Dropout", "tanh < (Linear) < Dropout $"]),
    ],
)  # fmt: skip
def test_statements(body, expected):
    assert paths(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # After an option without a contrary, a value is what it was, or what the option left.
        ("if flag:\n    x = self.drop(x)\nreturn self.relu(x)", ["Dropout", "ReLU < (Dropout) $"]),
        ("x = self.fc(x)\nif flag:\n    x = self.drop(x)\nreturn self.relu(x)",
         ["Linear", "Dropout < Linear", "ReLU < (Dropout) < Linear $"]),
        ("x = self.fc(x)\nif flag:\n    x = self.other(x)\nreturn self.drop(x)",
         ["Linear", "Dropout < (Linear) $"]),
        ("x = self.fc(x)\nif flag:\n    x = self.drop(x)\n    return x\nreturn self.relu(x)",
         ["Linear", "Dropout < Linear", "Dropout < Linear $", "ReLU < (Linear) $"]),
        ("if flag:\n    x = self.fc(x)\nelse:\n    x = self.drop(x)\nreturn self.relu(x)",
         ["Linear", "Dropout", "ReLU < (Linear) $"]),
        ("if flag:\n    x = self.other(x)\nelse:\n    x = self.other(x)\nreturn self.relu(x)",
         ["ReLU < ? $"]),
        ("if flag:\n    x = self.other(x)\nelse:\n    x = self.more(x)\nreturn self.relu(x)",
         ["ReLU $"]),
        ("if flag:\n    x = self.fc(x)\nelif mask:\n    x = self.drop(x)\nelse:\n"
         "    x = self.relu(x)\nreturn x", ["Linear", "Dropout", "ReLU", "(Linear) $"]),
        ("try:\n    x = self.fc(x)\nexcept E:\n    x = self.drop(x)\nfinally:\n"
         "    x = self.relu(x)\nreturn self.relu(x)", ["Linear", "ReLU", "Dropout", "ReLU $"]),
        ("match flag:\n    case 1:\n        x = self.fc(x)\n    case 2:\n"
         "        x = self.drop(x)\nreturn self.relu(x)", ["Linear", "Dropout", "ReLU $"]),
        ("if flag:\n    x = other(x)\nelse:\n    x = other(x)\nreturn self.relu(x)", ["ReLU $"]),
        ("if flag:\n    x = y.a.b(x)\nelse:\n    x = y.a.b(x)\nreturn self.relu(x)", ["ReLU $"]),
        ("x = self.drop(x)\nif flag:\n    x = y\nelse:\n    pass\nreturn self.relu(x)",
         ["Dropout", "ReLU $"]),
        ("x = self.drop(x)\nmatch flag:\n    case 1:\n        x = y\nreturn self.relu(x)",
         ["Dropout", "ReLU $"]),
        # Whatever binds a name under an option.
        *(("x = self.drop(x)\nif flag:\n" + textwrap.indent(each, "    ") + "return self.relu(x)",
           ["Dropout", "ReLU < (Dropout) $"])
          for each in ("for i in y:\n    x = other(x)\n", "if mask:\n    x = other(x)\n",
                       "with y as x:\n    pass\n", "def x(): pass\n", "for x in y: pass\n",
                       "while mask:\n    x = other(x)\n", "x += y\n", "x.append(y)\n")),
        # A turn of a loop begins with a dropout that the one before left.
        ("for i in y:\n    x = self.fc(x)\n    x = self.drop(x)\nreturn self.relu(x)",
         ["Linear", "Dropout < Linear", "Linear < (Dropout) < Linear",
          "Dropout < Linear < (Dropout) < Linear", "ReLU < Dropout < Linear $"]),
        ("for i in y:\n    x = self.fc(x)\nreturn self.relu(x)", ["Linear", "ReLU < Linear $"]),
        ("x = self.fc(x)\nfor i in y:\n    x = self.relu(x)\nreturn x",
         ["Linear", "ReLU", "ReLU $"]),
        ("for i in y:\n    x = self.fc(x)\nelse:\n    x = self.relu(x)\nreturn x",
         ["Linear", "ReLU", "Linear $"]),
        ("while flag:\n    x = self.drop(x)\nreturn self.relu(x)",
         ["Dropout", "Dropout < (Dropout)", "ReLU $"]),
        ("for i in y:\n    for j in y:\n        x = self.drop(x)",
         ["Dropout", "Dropout < (Dropout)"] * 2),
        ("for i in y:\n    x = self.drop(x)\n" * 3, ["Dropout", "Dropout < (Dropout)"] * 3),
        ("for i in y:\n    x = self.drop(x)\nelse:\n    x = self.relu(x)",
         ["Dropout", "Dropout < (Dropout)", "ReLU"]),
        # The second turns of two loops in one another are followed, not of three.
        ("for i in y:\n    for j in y:\n        for k in y:\n            x = self.drop(x)",
         [*["Dropout", "Dropout < (Dropout)"] * 3, "Dropout"]),
    ],
)  # fmt: skip
def test_blocks(body, expected):
    assert paths(body) == expected


@pytest.mark.parametrize(
    ("moved", "is_moved"),
    [
        ("x * 2", True),
        ("2 * x", True),
        ("x / 2.5", True),
        ("2 / x", False),
        ("x * self.scale", True),
        ("self.scale * x", True),
        ("x / temperature", True),
        ("x * y", False),
        ("x * 'a'", False),
        ("x * math.sqrt(3)", True),
        ("x * np.sqrt(3)", True),
        ("x * numpy.exp(3)", True),
        ("x * y.exp(3)", False),
        ("x * exp(3)", False),
        ("x * 3 ** 0.5", True),
        ("x * 3 ** -0.5", True),
        ("x * 3 ** y", False),
        ("x * (3 + y)", False),
        ("x + mask", True),
        ("x - self.attn_mask", True),
        ("mask + x", False),
        ("x + y", False),
        ("x % 2", False),
        ("x // 2", False),
    ],
)
def test_scales_and_masks(moved, is_moved):
    expected = "ReLU < mul < Dropout $" if is_moved else "ReLU < ? $"
    assert paths(f"x = self.drop(x)\nreturn self.relu({moved})")[-1] == expected


@pytest.mark.parametrize(
    ("applied", "expected"),
    [
        ("F.dropout(x, 0.1, True)", True),
        ("F.dropout(x, 0.1, flag)", True),
        ("F.dropout(x, 0.1)", True),
        ("F.dropout(x, 0.1, False)", False),
        ("F.dropout(x, 0.0)", False),
        ("F.alpha_dropout(x, 0.1)", False),
        ("F.alpha_dropout(x, 0.1, True)", True),
        ("F.alpha_dropout(x, 0.1, flag)", True),
        ("torch.dropout(x, 0.1, True)", True),
        ("torch.dropout(x, 0.1, flag)", True),
        ("torch.dropout(x, 0.1, False)", False),
        ("torch.dropout(x, 0.1, train=False)", False),
        ("nn.Dropout(0.1)(x)", True),
        ("nn.Dropout(0)(x)", False),
        ("F.relu(x)", False),
    ],
)
def test_what_drops(applied, expected):
    code = Code(HEAD + f"def f(x, flag):\n    return {applied}\n")
    [path] = Reader(code).read()
    assert drops(code, path.last) is expected


def built(source):
    """The layer that the last expression of a source builds, by its name."""
    code = Code(HEAD + textwrap.dedent(source))
    last = code.tree.body[-1]
    assert isinstance(last, ast.Expr)
    return Reader(code).built(last.value, last.value).name


KINDS = 'kinds = {"a": nn.ReLU(), "b": nn.Tanh(), "c": nn.Linear(2, 2)}\n'


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nn.Dropout(0.1)", "torch.nn.Dropout"),
        ("elsewhere(0.1)", ""),
        ("get_activation(0.1)", "torch.activation"),
        ("self.act(0.1)", "torch.activation"),
        ("nn.Dropout(p) if p else nn.Identity()", "torch.nn.Dropout"),
        ("nn.Identity() if p else nn.Dropout(p)", "torch.nn.Dropout"),
        ("nn.Dropout(p) if p else None", "torch.nn.Dropout"),
        ("None if p else nn.Dropout(p)", "torch.nn.Dropout"),
        ("nn.Dropout(p) if p else elsewhere()", ""),
        ("elsewhere() if p else nn.Dropout(p)", ""),
        ("nn.Dropout(p) if p else nn.Linear(2, 2)", ""),
        ("nn.Identity() if p else nn.Identity()", ""),
        ("a = nn.Dropout(p) if p else None\nb = a if p else None\nc = b if p else None\nc",
         "torch.nn.Dropout"),
        # A name, and one of several layers.
        ("one = nn.Dropout(0.1)\none", "torch.nn.Dropout"),
        ("one = two = nn.Dropout(0.1)\ntwo", "torch.nn.Dropout"),
        ("one = nn.ReLU()\nif p:\n    one = nn.Tanh()\none", "torch.activation"),
        ("one = nn.ReLU()\nif p:\n    one = nn.ReLU()\none", "torch.nn.ReLU"),
        ("one = nn.ReLU()\nif p:\n    one = nn.Linear(2, 2)\none", "torch.layer"),
        ("one = nn.ReLU()\nif p:\n    one = nn.Dropout(p)\none", ""),
        ("one = nn.ReLU()\nif p:\n    one = nn.LayerNorm(2)\none", ""),
        ("one = nn.ReLU()\nif p:\n    one = nn.Sequential()\none", ""),
        ("one = nn.ReLU()\nif p:\n    one = elsewhere()\none", ""),
        ("one = nn.ReLU()\nif p:\n    one = nn.functional.relu()\none", ""),
        # An element of a dict that is written down, and not changed.
        (KINDS + 'kinds["a"]', "torch.nn.ReLU"),
        (KINDS + 'kinds["d"]', ""),
        (KINDS + "kinds[p]", "torch.layer"),
        (KINDS.replace("nn.Linear(2, 2)", "nn.GELU()") + "kinds[p]", "torch.activation"),
        (KINDS + "kinds.keys()\nkinds[p]", "torch.layer"),
        (KINDS + "print(kinds['b'])\nkinds[p]", "torch.layer"),
        (KINDS + "kinds.update(p)\nkinds[p]", ""),
        (KINDS + "kinds.pop('a')\nkinds[p]", ""),
        (KINDS + "kinds['a'] = p\nkinds[p]", ""),
        (KINDS + "del kinds['a']\nkinds[p]", ""),
        (KINDS + "kinds = p\nkinds[p]", ""),
        ("elsewhere[p]", ""),
        # A Module of the file that applies one layer.
        ("class A(nn.Module):\n    def __init__(self):\n        self.fc = nn.Linear(2, 2)\n"
         "    def forward(self, x):\n        return self.fc(x)\nA()", "torch.nn.Linear"),
        ("class A(nn.Module):\n    def __init__(self):\n        self.fc = nn.Linear(2, 2)\n"
         "    def forward(self, x):\n        y = self.fc(x)\n        return y\nA()",
         "torch.nn.Linear"),
        ("class A(nn.Module):\n    def __init__(self):\n        self.fc = nn.Linear(2, 2)\n"
         "    def forward(self, x):\n        y = self.fc(x)\n        return x\nA()", ""),
        ("class A(nn.Module):\n    def __init__(self):\n        self.fc = nn.Linear(2, 2)\n"
         "    def forward(self, x, y):\n        return self.fc(x)\nA()", ""),
        ("class A(nn.Module):\n    def __init__(self):\n        self.fc = nn.Linear(2, 2)\n"
         "    def forward(self, x):\n        return self.fc(self.y)\nA()", ""),
        ("class A:\n    def __init__(self):\n        self.fc = nn.Linear(2, 2)\n"
         "    def forward(self, x):\n        return self.fc(x)\nA()", ""),
    ],
)  # fmt: skip
def test_what_is_built(source, expected):
    assert built(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nn.Sequential(nn.ReLU(), nn.Dropout())", ["nn.ReLU()", "nn.Dropout()"]),
        ("nn.Sequential(nn.Sequential(nn.ReLU()), nn.Dropout())", ["nn.ReLU()", "nn.Dropout()"]),
        ("one = nn.Sequential(nn.ReLU())\nnn.Sequential(one, nn.Dropout())",
         ["nn.ReLU()", "nn.Dropout()"]),
        ("one = nn.Dropout()\nnn.Sequential(nn.ReLU(), one)", ["nn.ReLU()", "one"]),
        ("one = nn.Sequential(nn.ReLU())\none = nn.Dropout()\nnn.Sequential(one, one)",
         ["one", "one"]),
        ("def make():\n    return nn.Sequential(nn.ReLU())\nnn.Sequential(make(), nn.Dropout())",
         ["nn.ReLU()", "nn.Dropout()"]),
        ("def make():\n    return nn.ReLU()\nnn.Sequential(make(), nn.Dropout())",
         ["make()", "nn.Dropout()"]),
        ("nn.Sequential(" * 7 + "nn.ReLU()" + ")" * 7, ["nn.ReLU()"]),
        ("def a():\n    return nn.Sequential(nn.ReLU())\ndef b():\n    return a()\n"
         "def c():\n    return b()\ndef d():\n    return c()\ndef e():\n    return d()\n"
         "nn.Sequential(e())", ["nn.ReLU()"]),
        ("def a():\n    return a()\nnn.Sequential(a())", ["a()"]),
        ("one = nn.Sequential(one)\nnn.Sequential(one)", ["nn.Sequential(one)"]),
        ("nn.ModuleList([nn.ReLU()])", None),
        ("elsewhere()", None),
    ],
)  # fmt: skip
def test_layers_of_a_sequential(source, expected):
    code = Code(HEAD + source)
    last = code.tree.body[-1].value
    reader = Reader(code)
    found = reader.sequential(reader.calls[last], set())
    assert (found and [ast.unparse(each.node) for each in found]) == expected


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("x = self.drop(x)", []),
        ("x = self.relu(x)", []),
        ("x = x.masked_fill(mask, 0)", ["masked_fill", "Linear"]),
        ("x = x * 2", ["mul", "Linear"]),
        ("x = torch.where(mask, x, 0)", ["where", "Linear"]),
        ("x = x.view(-1)", ["view", "Linear"]),
        ("x = torch.flatten(x)", ["flatten", "Linear"]),
        ("x = x.mean(1)", []),
    ],
)
def test_an_option_hides_what_was_before_it(option, expected):
    """A mask or a shape changes nothing of what was before, whether it is there or not."""
    body = f"        x = self.fc(x)\n        if flag:\n            {option}\n"
    code = Code(HEAD + NET + body + "        return self.drop(x)\n")
    *_, last = Reader(code).read()
    assert [kind(each) for each in last.before()] == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("self.rnn = elsewhere.Block1d(8)", "Block1d"),
        ("self.rnn = Block1d(8)", "Block1d"),
        ("self.rnn = Block1d(8)\n        self.rnn = Block2d(8)", "rnn"),
        ("self.rnn = block", "rnn"),
        ("pass", "rnn"),
    ],
)
def test_what_an_unknown_layer_is_called(source, expected):
    code = Code(
        f"{HEAD}class Net(nn.Module):\n    def __init__(self):\n        {source}\n"
        "    def forward(self, x):\n        return self.rnn(x), rnn(x), x + 1\n"
    )
    attribute, name, other = (path.last for path in Reader(code).read())
    assert [called(code, each) for each in (attribute, name, other)] == [expected, "rnn", ""]


@pytest.mark.parametrize(
    ("applied", "expected"),
    [
        ("self.many(x)", "ReLU < Dropout < ? $"),
        ("self.other(x)", "ReLU < Sequential $"),
        ("self.fc(x)", "ReLU < Linear $"),
        ("more.many(x)", "ReLU < ? $"),
        ("many(x)", "ReLU < Sequential $"),
    ],
)
def test_the_end_of_a_sequential_that_others_read(applied, expected):
    code = Code(
        f"{HEAD}many = nn.Sequential(*elsewhere())\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        self.many = nn.Sequential(*elsewhere())\n"
        "        self.other, self.fc = nn.Sequential(*elsewhere()), nn.Linear(2, 2)\n"
        f"    def forward(self, x):\n        return F.relu({applied})\n"
    )

    def end(cls, name):
        is_it = (cls.name, name) == ("Net", "many")
        return Layer(code.tree.body[0], "torch.nn.Dropout") if is_it else None

    *_, last = Reader(code, end=end).read()
    assert said(last).replace("relu", "ReLU") + " $" * last.ends == expected


def test_the_calls_of_methods_that_are_followed_have_a_limit(monkeypatch):
    body = "x = self.inner(self.drop(x))\nreturn self.inner(self.drop(y))"
    whole = paths(body)
    assert sum(each.startswith("tanh") for each in whole) == 2
    for limit, count in ((1, 1), (2, 2)):
        monkeypatch.setattr(_sequences, "_MOST_INLINED", limit)
        assert sum(each.startswith("tanh") for each in paths(body)) == count


@pytest.mark.parametrize(("times", "followed"), [(12, 12), (60, 50)])
def test_a_sequential_is_followed_as_often_as_people_apply_it(times, followed):
    found = paths("x = self.seq(x)\n" * times + "return x")
    assert sum(each.startswith("Linear") for each in found) == followed
