"""TD112: dropouts in a plain list."""

import textwrap

import pytest
import torch

from _marks import fixed, marked
from torchdropout_audit.registry import RULES

NAME = "module-not-registered"
LOOP = """
    def forward(self, x):
        for d in self.drops:
            x = d(x)
        return x
"""


def init(body, rest=LOOP, head="class A(nn.Module):"):
    """A Module with a body of `__init__`."""
    return f"{head}\n    def __init__(self, p):\n{textwrap.indent(body, ' ' * 8)}\n{rest}"


BAD = [
    init("self.drops = [nn.Dropout(p), nn.Dropout(p)]  #!"),
    init("self.drops = [nn.Dropout(p) for _ in range(3)]  #!"),
    init("self.drops = (nn.Dropout(p), nn.Dropout2d(p))  #!"),
    init("self.drops = nn.Dropout(p), nn.Dropout2d(p)  #!"),
    init("self.drops = {'a': nn.Dropout(p)}  #!"),
    init("self.drops = [nn.Dropout(p).to(d) for d in 'ab']  #!"),
    init("self.drops = [nn.LSTM(8, 8, 2, dropout=0.1).cuda().half() for _ in 'ab']  #!"),
    init("self.drops = [nn.MultiheadAttention(8, 2, 0.1) for _ in 'ab']  #!"),
    *(
        "import torchdropout.nn as tdn\n"
        + init(f"self.drops = [tdn.LSTM(8, 8, {n}, dropout={p}, recurrent_dropout={q})]  #{mark}")
        for n, p, q, mark in (
            *((1, 0, 0.1, "!"), (2, 0.1, 0, "!")),
            *((1, 0.1, "p", "?"), (2, "p", 0, "?")),
        )
    ),
    init("self.drops = {k: nn.Dropout(p) for k in 'ab'}  #!"),
    init("self.drops = dict(a=nn.Dropout(p))  #!"),
    init("self.drops = list(nn.Dropout(p) for _ in range(3))  #!"),
    init("self.drops = list(map(lambda i: nn.Dropout(p), range(3)))  #!"),
    init("self.drops = [nn.Dropout(p)] * 3  #!"),
    init("self.drops = [nn.Linear(8, 8)] + [nn.Dropout(p)]  #!"),
    init("self.drops = [nn.Sequential(nn.Linear(8, 8), nn.Dropout(p)) for _ in range(2)]  #!"),
    init("self.drops = [[nn.Dropout(p)], [nn.Identity()]]  #!"),
    init("self.drops = [nn.Dropout(p) if p > 0 else nn.Identity()]  #!"),
    init("self.drops = [nn.Dropout(p)] if p > 0 else []  #!"),
    init("self.drops = [nn.Dropout(p)] if p > 1 else [nn.Dropout2d(p)] if p > 0 else None  #!"),
    init("drops = [nn.Dropout(p)]\ndrops = drops + [nn.Dropout2d(p)]\nself.drops = drops  #!"),
    init("drops = []\ndrops += [nn.Dropout(p)]\nself.drops = drops  #!"),
    *(
        init(
            "self.drops = [nn.Dropout(p)]  #!",
            f"    def forward(self, x, i, pairs):\n        return {use}\n",
        )
        for use in (
            "self.drops[i](x)",
            "self.drops[i + len(pairs)](x)",
            "pairs[self.drops](x)",
            "[d(x) for d in self.drops]",
            "self.drops and x",
            "self.drops == x",
            "x if self.drops else i",
            "[d(i) for i, d in enumerate(self.drops)]",
            "[run(i, d(x)) for i, d in enumerate(self.drops)]",
        )
    ),
    init("self.drops: list[nn.Module] = [nn.Dropout(p)]  #!"),
    init("self.drops = []  #!\nfor _ in range(3):\n    self.drops.append(nn.Dropout(p))"),
    init("self.drops = []  #!\nself.drops += [nn.Dropout(p)]"),
    init("self.drops = []  #!\nself.drops.extend([nn.Dropout(p)])"),
    init("self.drops = {}  #!\nself.drops['a'] = nn.Dropout(p)"),
    init("drops = []\ndrops.append(nn.Dropout(p))\nself.drops = drops  #!"),
    init("drops = [nn.Dropout(p)]\nself.drops = drops  #!"),
    init("drop = nn.Dropout(p)\nself.drops = [drop]  #!"),
    init("self.drops = []  #!\nfor _ in 'ab':\n    d = nn.Dropout(p)\n    self.drops.append(d)"),
    init("self.drops = None\nself.drops = [nn.Dropout(p)]  #!"),
    init(
        "self.drops = [nn.Dropout(p)]  #!",
        "    def forward(self, x):\n        for i, d in enumerate(self.drops):\n"
        "            x = d(self.at(x, i))\n        return self.drops[0](x)\n",
    ),
    init(
        "self.drops = [nn.Dropout(p)]  #!",
        "    def forward(self, x):\n        print(len(self.drops))\n"
        "        return self.drops[-1](x)\n",
    ),
    "class Word(nn.Module):\n    pass\n"
    "class WordDropout(nn.Module):\n    pass\n" + init("self.drops = [WordDropout(p)]  #!"),
    "from timm.layers import DropPath\n" + init("self.drops = [DropPath(p)]  #!"),
    "from fairseq.modules import FairseqDropout\n" + init("self.drops = [FairseqDropout(p)]  #?"),
    "class A(nn.Module):\n    drops = [nn.Dropout()]  #!\n" + LOOP,
    "class A(nn.Module):\n    drops = [nn.Dropout()]  #!",
    "class A(nn.Module):\n    drops = []  #!\n    drops += [nn.Dropout()]",
    init("self.drops = [nn.Dropout(p)]  #!", head="class A(Elsewhere):"),
]
CLEAN = [
    *(
        init(
            "self.drops = [nn.Dropout(p)]",
            f"    def forward(self, x):\n        return {use}\n",
        )
        for use in (
            "[run(d, x) for d in self.drops]",
            "[run(d, x) for d, y in zip(self.drops, x)]",
            "[run(i, d) for i, d in enumerate(self.drops)]",
            "[run(i) for i in enumerate(self.drops)]",
            "[run(x, layer=d) for d in self.drops]",
            "[d.eval() for d in self.drops]",
            "run(self.drops[0], x)",
            "run(*self.drops)",
            "run(x, layers=self.drops)",
            "run(self.drops + x)",
            "self.drops[0]",
        )
    ),
    init("drops = [p]\nother = [nn.Dropout(p)]\nother += drops\nself.drops = drops"),
    init("drops = [nn.Dropout(p)]\nmore = drops + [nn.Dropout(p)]\nself.drops = drops"),
    init("self.drops = [p]\nadd = self.drops.append"),
    init("self.drops = []\nrun(self.drops.append, nn.Dropout(p))"),
    init("drops = other\nother = drops\nself.drops = drops"),
    init(
        "drops = [nn.Dropout(p)]\nif p:\n    drops = nn.ModuleList([nn.Dropout(p)])\n"
        "self.drops = drops"
    ),
    init("drops = [nn.Dropout(p)]\nself.drop = drops[0]\nself.drops = drops"),
    init("self.drops = [nn.Dropout(p)]\ndrops = self.drops\nself.net = nn.ModuleList(drops)"),
    init("self.drops = [nn.Dropout(p)]", "    def f(self):\n        drops = self.drops\n"),
    init("self.drops = [nn.LSTM(8, 8, dropout=0.1), nn.GRU(8, 8, 1, dropout=0.1)]"),
    init("self.drops = [nn.LSTM(8, 8, 2), nn.GRU(8, 8, 2, dropout=0)]"),
    "import torchdropout.nn as tdn\n"
    + init("self.drops = [tdn.LSTM(8, 8, dropout=0.1, recurrent_dropout=0.0)]"),
    init("self.drops = [nn.Linear(8, 8).to(d) for d in 'ab']"),
    init("self.drops = nn.ModuleList([nn.Dropout(p)])"),
    init("self.drops = nn.ModuleList()\nself.drops.append(nn.Dropout(p))"),
    init("self.drops = nn.ModuleDict({'a': nn.Dropout(p)})"),
    init("self.drops = [nn.Dropout(p)]\nself.drops = nn.Sequential(*self.drops)"),
    init("self.drops = []\nself.drops += [nn.Dropout(p)]\nself.net = nn.ModuleList(self.drops)"),
    init("self.drops = [nn.Dropout(p)]\nself.net = nn.Sequential(nn.Linear(8, 8), *self.drops)"),
    init("self.drops = {'a': nn.Dropout(p)}\nself.net = nn.ModuleDict(self.drops)"),
    init("self.drops = {'a': nn.Dropout(p)}\nself.drop = self.drops[p]"),
    init("self.drops = {'a': nn.Dropout(p)}\nself.net = nn.ModuleList(self.drops.values())"),
    init("layers = [nn.Dropout(p)]\nself.net = nn.Sequential(*layers)\nself.drops = layers"),
    init("layers = []\nlayers.append(nn.Dropout(p))\nself.net = nn.Sequential(*layers)"),
    init(
        "self.drops = [nn.Dropout(p)]\nfor i, d in enumerate(self.drops):\n    self.add(f'{i}', d)"
    ),
    init(
        "self.drops = [nn.Dropout(p)]\nfor i, d in enumerate(self.drops):\n"
        "    self.add_module(f'{i}', d)"
    ),
    init("self.drops = [nn.Dropout(p)]\nfor d in self.drops:\n    setattr(self, 'd', d)"),
    init("self.drops = [nn.Dropout(p)]\nsuper().__init__(*self.drops)"),
    init("self.drops = [nn.Dropout(p)]\nfor d in self.drops:\n    self.put(module=d)"),
    init("self.drops = [nn.Dropout(p)]", LOOP + "    def train(self, mode=True):\n        ...\n"),
    init(
        "self.drops = [nn.Dropout(p)]",
        "    def forward(self, x):\n"
        "        for d in self.drops:\n            d.train(self.training)\n",
    ),
    init(
        "self.drops = [nn.Dropout(p)]",
        "    def forward(self, x):\n        return run(self.drops, x)\n",
    ),
    init("self.drops = [nn.Dropout(p)]", "    def layers(self):\n        return self.drops\n"),
    init("drop = nn.Dropout(p)\nself.drops = [drop]\nself.drop = drop"),
    init("d = nn.Dropout(p)\nself.__setattr__('d', d)\nself.drops = [d, nn.Dropout(p)]"),
    init("self.drops = [m for m in self.modules() if isinstance(m, nn.Dropout)]"),
    init("self.drops = [nn.Dropout(p)] if p else nn.ModuleList([nn.Dropout(p)])"),
    init("self.a = nn.Dropout(p)\nself.drops = [self.a]"),
    init("self.drops = [nn.Dropout, nn.Identity]"),
    init("self.drops = [p, 0.1]"),
    "DROPS = [nn.Dropout()]\n" + init("self.drops = DROPS"),  # others may register them
    init("self.drops = [lambda: nn.Dropout(p)]"),
    init("self.drops = list(map(nn.Dropout, [p]))"),
    "class A(nn.Module):\n    drop = nn.Dropout()\n    drops = [drop]",
    init("self.drop, self.b = nn.Dropout(p), nn.Dropout(p)"),
    init("self.drops = [nn.Linear(8, 8)]\nself.drop = nn.Dropout(p)"),
    init("self.drops = [nn.Dropout(p)]", head="class A:"),
    init("self.drops = [nn.Dropout(p)]", head="class A(nn.ModuleList):").replace("self.drops", "x"),
    "class Dropout:\n    pass\n" + init("self.drops = [Dropout(p)]"),
    "from keras import layers\n"
    + init("self.drops = [layers.Dropout(p)]", head="import keras\nclass A(keras.Model):"),
]


@pytest.mark.parametrize("source", BAD)
def test_found(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert expected


@pytest.mark.parametrize("source", CLEAN)
def test_clean(source):
    assert marked(NAME, source) == ([], [])


@pytest.mark.parametrize(
    ("attribute", "returned", "is_found"),
    [
        ("nn.Dropout(0.1)", "x", True),
        ("nn.Linear(8, 8)", "F.dropout(x, 0.1, self.training)", True),
        ("nn.Linear(8, 8)", "F.dropout(x, training=self.training)", True),
        ("nn.Linear(8, 8)", "F.dropout(x, 0.1, self.fc)", False),
        ("nn.Linear(8, 8)", "F.dropout(x, 0.1, training)", False),
        ("nn.Linear(8, 8)", "F.dropout(x, 0.1)", False),
        ("nn.Linear(8, 8)", "F.batch_norm(x, x, x, training=self.training)", False),
    ],
)
def test_a_module_that_drops_in_a_list(attribute, returned, is_found):
    block = (
        "class Base(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.fc, self.held = nn.Linear(8, 8), {attribute}\n"
        f"    def forward(self, x):\n        return {returned}\nclass Block(Base): ...\n"
    )
    for name in ("Base", "Block"):
        source = block + init(f"self.drops = [{name}()]{'  #!' if is_found else ''}")
        found, expected = marked(NAME, source)
        assert found == expected
        assert len(found) == is_found


def test_fix_is_not_safe():
    source = init("self.drops = [nn.Dropout(p) for _ in range(3)]")
    assert fixed(NAME, source)[0] == source
    text, left = fixed(NAME, source, unsafe=True)
    assert "self.drops = nn.ModuleList([nn.Dropout(p) for _ in range(3)])\n" in text
    assert left == ()


def test_fix_of_a_list_that_grows():
    text, left = fixed(NAME, init("self.drops = []\nself.drops.append(nn.Dropout(p))"), True)
    assert "self.drops = nn.ModuleList([])\n" in text
    assert left == ()


MADE = {  # what is written, and how often a ModuleList is made of it
    "self.dp = []\nself.dp = []\nself.dp.append(nn.Dropout(p))": 2,
    "self.dp = None\nself.dp = [nn.Dropout(p)]\nself.dp += [nn.Dropout(p)]": 1,
    "self.dp = []\nself.dp = self.dp + [nn.Dropout(p)]": 1,
    "if p > 0:\n    self.dp = [nn.Dropout(p)]\nelse:\n    self.dp = []": 2,
    "if p > 0:\n    self.dp = [nn.Dropout(p) for _ in range(2)]\nelse:\n    self.dp = None": 1,
    "self.dp = [nn.Dropout(p)] if p > 0 else []": 2,
    "self.dp = [nn.Dropout(p)] if p > 0 else None": 1,
    "drops = []\nif p > 0:\n    drops.append(nn.Dropout(p))\nself.dp = drops": 1,
    "self.dp = [nn.Linear(2, 2)] + [nn.Dropout(p)]": 1,
    "self.dp = list(nn.Dropout(p) for _ in range(2))": 1,
    "self.dp = [nn.Dropout(p) if p > 0 else nn.Identity()]": 1,
    "super().__init__(); self.dp = [nn.Dropout(p)]": 1,
}


@pytest.mark.parametrize("body", MADE)
def test_fix_of_all_assignments_works_in_torch(body):
    text, left = fixed(NAME, init(f"super().__init__()\n{body}"), unsafe=True)
    assert left == ()
    assert text.count("nn.ModuleList(") == MADE[body]
    scope = {"nn": torch.nn}
    exec(text, scope)
    made = scope["A"](0.5)
    assert isinstance(made.dp, torch.nn.ModuleList)
    assert not any(each.training for each in made.eval().modules())


@pytest.mark.parametrize(
    "body",
    [
        "self.dp = [nn.Dropout(p), torch.relu]",
        "self.dp = [nn.Dropout(p), lambda x: x]",
        "self.dp = [nn.Dropout(p), 3]",
        "self.dp = [nn.Dropout(p), *(torch.relu,)]",
        "self.dp = [nn.Dropout(p) if p > 0 else torch.relu]",
        "self.dp = [nn.Dropout(p) if p > 0 else torch.relu for _ in range(2)]",
        "self.dp = [[nn.Dropout(p)] for _ in range(2)]",
        "self.dp = [(1, nn.Dropout(p))]",
        "self.dp = [nn.Linear(2, 2)] + [(1, nn.Dropout(p))]",
        "self.dp = [(1, nn.Dropout(p))] + [nn.Linear(2, 2)]",
        "self.dp = [nn.Dropout(p)]\nself.dp = (nn.Dropout(p),)",
        "self.dp = [nn.Dropout(p)]\nself.dp.reverse()",
        "self.dp = [nn.Dropout(p)]\nself.dp.append(3)",
        "self.dp = [nn.Dropout(p)]\nsuper().__init__()",
        "self.dp = [nn.Dropout(p)]; super().__init__()",
        "drops = []\nself.dp = drops\ndrops.append(nn.Dropout(p))",
    ],
)
def test_no_fix_where_a_module_list_would_raise_or_change_more(body):
    _, [finding] = fixed(NAME, init(body), unsafe=True)
    assert finding.fix is None


def test_fix_by_the_name_that_the_file_has():
    source = "from torch.nn import Module, ModuleList\n" + init("self.dp = [nn.Dropout(p)]")
    text, left = fixed(NAME, source.replace("nn.Module)", "Module)"), unsafe=True)
    assert "self.dp = ModuleList([nn.Dropout(p)])" in text
    assert left == ()


@pytest.mark.parametrize(("held", "is_fixed"), [("other", True), ("dp", False)])
def test_no_fix_if_a_base_assigns_it_too(held, is_fixed):
    base = f"class B(nn.Module):\n    def f(self):\n        self.{held} = [1]\n"
    _, left = fixed(NAME, base + init("self.dp = [nn.Dropout(p)]", head="class A(B):"), unsafe=True)
    assert [each.fix for each in left] == ([] if is_fixed else [None])


def test_no_fix_in_the_body_of_the_class():
    source = "class A(nn.Module):\n    dp = [nn.Dropout(0.1)]\n    def forward(self, x): return x\n"
    _, [finding] = fixed(NAME, source, unsafe=True)
    assert finding.fix is None


def test_no_fix_where_it_is_no_list():
    for value in ("(nn.Dropout(p), nn.Dropout(p))", "{'a': nn.Dropout(p)}", "[nn.Dropout(p)] * 2"):
        _, [finding] = fixed(NAME, init(f"self.drops = {value}"), unsafe=True)
        assert finding.fix is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("[nn.Dropout(p)]", "list"),
        ("(nn.Dropout(p), nn.Dropout(p))", "tuple"),
        ("{'a': nn.Dropout(p)}", "dict"),
        ("{k: nn.Dropout(p) for k in 'ab'}", "dict"),
        ("dict(a=nn.Dropout(p))", "dict"),
        ("collections.OrderedDict(a=nn.Dropout(p))", "OrderedDict"),
        ("tuple(nn.Dropout(p) for _ in 'ab')", "tuple"),
        ("None if p else (nn.Dropout(p),)", "tuple"),
        ("{'a': nn.Dropout(p)} if p else None", "dict"),
        ("[nn.Dropout(p)] if p else (nn.Dropout(p),)", "list"),
    ],
)
def test_what_it_is_and_should_be_is_said(value, kind):
    _, [finding] = fixed(NAME, init(f"self.drops = {value}"))
    assert f"are in a plain {kind}:" in finding.message
    assert f"nn.Module{'Dict' if 'ict' in kind else 'List'}" in finding.hint


def test_long_sums_do_not_end_the_audit():
    found, _ = marked(NAME, init("self.drops = " + " + ".join(["[nn.Dropout(p)]"] * 400) + "  #!"))
    assert len(found) == 1


@pytest.mark.parametrize(("which", "drops"), [("broken", True), ("fixed", False)])
def test_what_torch_does(which, drops):
    scope = {}
    exec(getattr(RULES[NAME], which), scope)
    model = scope["Head"]().eval()
    assert bool((model(torch.ones(1000)) == 0).any()) is drops
