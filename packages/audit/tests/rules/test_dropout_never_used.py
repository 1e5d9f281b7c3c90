"""TD114: a dropout that nothing applies."""

import textwrap

import pytest
import torch

from _marks import marked
from _sources import findings_in
from torchdropout_audit.registry import RULES

NAME = "dropout-never-used"
PASS = "def forward(self, x):\n    return x\n"


def net(init, methods=PASS, head="class A(nn.Module):"):
    """A Module with a body of `__init__`, and methods."""
    body = textwrap.indent(init, " " * 8)
    return f"{head}\n    def __init__(self, p):\n{body}\n{textwrap.indent(methods, '    ')}"


BAD = [
    net("self.d = nn.Dropout(p)  #?"),
    net("self.d: nn.Module = nn.Dropout2d(p)  #?"),
    net("self.d = nn.Dropout(p) if p else nn.Identity()  #?"),
    net("self.d = None if p else nn.Dropout(p)  #?"),
    net("self.a, self.d = nn.Dropout(p), nn.AlphaDropout(p)  #?", PASS + "    return self.a(x)"),
    net("if p:\n    self.d = nn.Dropout(p)  #?\nelse:\n    self.d = None"),
    net("self.d = nn.Dropout(p)  #?", "def forward(self, d):\n    return d\n"),
    *(
        net(f"self.d = {built}  #?")
        for built in (
            "nn.ModuleList([nn.Dropout(p), nn.Dropout2d(p)])",
            "nn.ModuleList((nn.Dropout(p), nn.Dropout2d(p)))",
            "nn.ModuleList([nn.Dropout(p) for _ in 'ab'])",
            "nn.Sequential(nn.Dropout(p), nn.Dropout2d(p))",
            "nn.Dropout(p).to('cpu')",
        )
    ),
    net("self.d = nn.ModuleList()  #?\nself.d.append(nn.Dropout(p))\nself.d.append(nn.Dropout(p))"),
    net("self.d = nn.Dropout(p)  #?\nprint(self)\nassert isinstance(self, nn.Module)"),
    net("self.d = nn.Dropout(p)  #?", "def forward(self, x):\n    '''As self.d.'''\n    return x"),
    net("self.d = nn.Dropout(p)  #?", head="class A(Elsewhere):"),
    net("self.d = nn.Dropout(p)  #?", head="class A(nn.ModuleList):"),
    net("self.d = nn.Dropout(p)  #?", head="class A(nn.Module, Elsewhere):"),
    net("nn.Module.__init__(self)\nself.d = nn.Dropout(p)  #?"),
    net("# Note: it is not used.\nself.d = nn.Dropout(p)  #?"),
    *(
        net("self.d = nn.Dropout(p)  #?", f"{PASS}def f(self):\n    {loop}\n")
        for loop in (
            "for m in self.modules(): nn.init.zeros_(m.weight)",
            "for n, m in self.named_modules(): self._init_weights(m) if 'a' in n else None",
            "for m in self.children(): m.requires_grad_(isinstance(m, nn.Linear))",
            "return any(isinstance(m, nn.Linear) for m in self.modules())",
        )
    ),
    *(
        net(f"self.d = nn.Dropout({rate})  #?")
        for rate in ("c.d", "c['d']", "c.get('d')", "p=c.a.d", "float(c.d)")
    ),
    net("self.d = nn.Dropout(p)  #?") + "class B(nn.Module):\n"
    "    def forward(self, x):\n        return self.d(x)\n",
    "class B(nn.Module):\n    pass\n" + net("self.d = nn.Dropout(p)  #?", head="class A(B):"),
    net("self.d = nn.Dropout(p)  #?", "def f(self):\n    pass\n")
    + "class B(A):\n    def forward(self, x):\n        return x\n",
    "from timm.layers import DropPath\n" + net("self.d = DropPath(p)  #?"),
    "from torchvision.ops import StochasticDepth\n" + net("self.d = StochasticDepth(p, 'row')  #?"),
    "import torchdropout.nn as tn\n" + net("self.d = tn.Dropout(p)  #?"),
    "class MyDropout(nn.Module):\n    pass\n" + net("self.d = MyDropout(p)  #?"),
    "import lightning\n"
    + net("self.d = nn.Dropout(p)  #?", head="class A(lightning.LightningModule):"),
]
USED = net("self.d = nn.Dropout(p)", "def forward(self, x):\n    return {}\n")
CLEAN = [
    *(
        net(f"self.d = {built}")
        for built in (
            "nn.ModuleList([nn.Dropout(p), nn.Linear(8, 8)])",
            "nn.ModuleList((nn.Linear(8, 8), nn.Dropout(p)))",
            "nn.ModuleList([nn.Linear(8, 8) for _ in 'ab'])",
            "nn.ModuleList([])",
            "nn.ModuleList(p)",
            "nn.ModuleList([nn.Dropout(p)], p)",
            "nn.ModuleList()",
            "nn.Sequential()",
            "nn.Sequential(nn.Dropout(p), nn.Linear(8, 8))",
            "nn.Sequential(nn.Dropout(p), name=p)",
        )
    ),
    net("self.d = nn.ModuleList()\nself.d.append(nn.Dropout(p))\nself.d.append(nn.Linear(8, 8))"),
    net("self.d = nn.Dropout(p)", "def forward(self, x): return [m(x) for m in self]\n")
    .replace("nn.Module", "nn.ModuleList"),
    net("self.d = nn.Dropout(p)", "def forward(self, x): return self[0](x)\n")
    .replace("nn.Module", "nn.ModuleList"),
    *(
        USED.format(use)
        for use in (
            "self.d(x)", "self.d.forward(x)", "F.dropout(x, self.d.p, self.training)",
            "nn.Sequential(self.d, self.e)(x)", "run(self, x)", "getattr(self, 'd')(x)",
            "getattr(self, 'd' + x)", "self._modules[x](x)", "self.__dict__[x]", "vars(self)[x]",
            "run(x, ['a.d', 'b'])", "run(x, f'd{x}')", "[c(x) for c in self.children()]",
            "[c(x) for _, c in self.named_children()]", "[c(x) for c in self.modules()]",
            "self.get_submodule(x)", "x.d(x)", "(self, x)",
            "[m.forward(x) for m in self.modules()]", "[m for m in self.modules()]",
            "[run(x, m) for m in self.modules()]", "[y for m in self.modules() for y in m(x)]",
            "X.run(self, x)", "nn.Sequential(c.d)(x)", "-self.d", "~self.d", "self.d > 0",
            "(x if x else self.d)(x)", "self.d.append", "self.d.weight", "self.d.extend + x",
        )
    ),
    net("self.d = nn.Dropout(p)", "def forward(self, x): ...\n"),
    net("self.d = nn.Dropout(p)", "def forward(self, x):\n    raise NotImplementedError\n"),
    net("self.d = nn.Dropout(p)", "def forward(self, x):\n    y = x\n    raise TypeError(y)\n"),
    net("self.d = nn.Dropout(p)", "def f(self, x):\n    return x\n"),
    net("self.d = self.e = nn.Dropout(p)"),
    net("d = nn.Dropout(p)\nself.d = d\nself.net = nn.Sequential(d)"),
    net("self.d = nn.Linear(8, 8)"),
    net("self.d = p"),
    net("self.d = nn.Dropout(p)", head="class A:"),
    *(
        net("self.d = nn.Dropout(p)", f"def forward(self, x):\n    return {use}\n", head)
        for head in ("class A(Elsewhere):", "class A(nn.Module, Elsewhere):")
        for use in ("self.encode(x)", "run(self.encode, x)", "run(f=self.encode)")
    ),
    net(
        "self.d = nn.Dropout(p)",
        "def forward(self, x):\n    return super().forward(x)\n",
        "class A(Elsewhere):",
    ),
    net("self.d = nn.Dropout(p)", "def forward(self, x):\n    return self.n(self.d)\n"),
    "class A(Elsewhere):\n    def __init__(self, p):\n        self.d = nn.Dropout(p)\n",
    *(
        net(f"self.d = nn.Dropout(p)  # {why}")
        for why in ("unused", "for compatibility", "仅做兼容性保留", "未使用", "legacy")
    ),
    net("# kept for old checkpoints\nself.d = nn.Dropout(p)"),
    net("self.d = nn.Dropout(p)", head="class A(nn.TransformerEncoderLayer):"),
    net("self.d = nn.Dropout(p)", head="class A(nn.Sequential):"),
    net(
        "self.d = nn.Dropout(p)",
        PASS + "def __getattr__(self, name):\n    return super().__getattr__(name)\n",
    ),
    net("self.d = nn.Dropout(p)")
    + "class B(A):\n    def forward(self, x):\n        return self.d(x)\n",
    "class B(nn.Module):\n    def forward(self, x):\n        return self.d(x)\n"
    + net("self.d = nn.Dropout(p)", "def f(self):\n    return 1\n", head="class A(B):"),
    net("self.d = nn.Dropout(p)") + "A(0.1).d(1)\n",
    "class Dropout:\n    pass\n" + net("self.d = Dropout(p)"),
    "from keras.layers import Dropout\n" + net("self.d = Dropout(p)"),
]  # fmt: skip


@pytest.mark.parametrize("source", BAD)
def test_found(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert expected


@pytest.mark.parametrize("source", CLEAN)
def test_clean(source):
    assert marked(NAME, source) == ([], [])


@pytest.mark.parametrize(("which", "is_alike"), [("broken", True), ("fixed", False)])
def test_what_torch_does(which, is_alike):
    scope = {}
    exec(getattr(RULES[NAME], which), scope)
    model = scope["Head"](p=0.9)
    x = torch.randn(64, 64)
    assert torch.equal(model.train()(x), model.eval()(x)) is is_alike


BASE = """\
from torch import nn

class Base(nn.Module):
    def encode(self, x):
        return {}
"""
NET = """\
from torch import nn
from base import Base

class Net(Base):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return self.encode(x)
"""


class TestOfOtherFiles:
    """A base in another file of the project is read; what it applies is used."""

    @pytest.mark.parametrize(
        ("body", "found"),
        [
            ("x", [(7, "advice")]),
            ("self.other(x)", [(7, "advice")]),
            ("self.drop(x)", []),
            ("[m(x) for m in self.children()]", []),
            ("getattr(self, self.name)(x)", []),
        ],
    )
    def test_what_a_base_applies(self, body, found, tmp_path):
        files = {"base.py": BASE.format(body), "net.py": NET}
        assert findings_in(tmp_path, files, "net.py", NAME) == found

    @pytest.mark.parametrize(
        ("body", "found"), [("x", [(7, "advice")]), ("self.drop(x)", []), (None, [])]
    )
    def test_a_base_of_a_base(self, body, found, tmp_path):
        middle = BASE.replace("nn.Module", "Root").replace("nn", "nn\nfrom root import Root", 1)
        files = {"base.py": middle.format("x"), "net.py": NET}
        if body is not None:
            files["root.py"] = BASE.replace("Base", "Root").format(body)
        assert findings_in(tmp_path, files, "net.py", NAME) == found

    @pytest.mark.parametrize(
        ("main", "found"),
        [
            ("Net(0.1).encode(x)", [(6, "advice")]),
            ("Net(0.1)\nclass Deep(Net): ...", []),
            ("Net", []),
            ("", []),
        ],
    )
    @pytest.mark.parametrize(
        "forward", ["", "    def forward(self, x): raise NotImplementedError\n"]
    )
    def test_a_module_without_a_forward(self, forward, main, found, tmp_path):
        """It is abstract, unless the project builds it and derives nothing from it."""
        net = (
            "from torch import nn\n\nclass Net(nn.Module):\n    def __init__(self, p):\n"
            "        super().__init__()\n        self.drop = nn.Dropout(p)\n\n"
            f"    def encode(self, x): return x\n{forward}"
        )
        files = {"net.py": net, "main.py": f"from net import Net\n{main}\n"}
        assert findings_in(tmp_path, files, "net.py", NAME) == found

    def test_a_base_that_is_not_there(self, tmp_path):
        assert findings_in(tmp_path, {"net.py": NET}, "net.py", NAME) == []


DECORATED = """
from torch import nn
from wrapping import dropped

class Net(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(dim, dim)

    @dropped
    def forward(self, x):
        return self.fc(x)
"""


@pytest.mark.parametrize(("said", "found"), [("drop", []), ("other", [(8, "advice")])])
def test_a_decorator_of_another_file_is_given_self(said, found, tmp_path):
    wrapping = (
        "def dropped(forward):\n    def wrapper(self, x):\n"
        f"        return self.{said}(forward(self, x))\n    return wrapper\n"
    )
    files = {"net.py": DECORATED, "wrapping.py": wrapping}
    assert findings_in(tmp_path, files, "net.py", NAME) == found
