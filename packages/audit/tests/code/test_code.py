"""What a source says: classes, callers, values, sequences, places, tests of training."""

import ast
import textwrap
import warnings

import pytest

from torchdropout_audit.code import UNKNOWN, Class, Code, Pattern, is_no_rate

HEAD = "import torch, math\nimport torch.nn.functional as F\nfrom torch import nn\n"


def code_of(source, path="model.py"):
    return Code(HEAD + textwrap.dedent(source), path)


def drop_in(source):
    """The code, and its call of F.dropout."""
    code = code_of(source)
    [call] = [c for c in code.calls if c.name == "torch.nn.functional.dropout"]
    return code, call


def method(body, init="self.p = p"):
    return f"""
class A(nn.Module):
    def __init__(self, p, cfg):
        {init}
    def forward(self, x, flag=None):
{textwrap.indent(textwrap.dedent(body), "        ")}
"""


# --- Classes ------------------------------------------------------------------------------------


def test_a_node_is_of_a_class_inside_its_methods_alone():
    code = code_of("""
    class A(nn.Module):
        outside = max(1, 2)
        def forward(self, x):
            def inner():
                return max(3, 4)
            return inner()
    """)
    classes = {ast.unparse(call.node): call.cls for call in code.calls}
    assert classes["max(1, 2)"] is None
    assert classes["max(3, 4)"].node.name == "A"
    assert classes["inner()"].node.name == "A"


@pytest.mark.parametrize(
    ("head", "is_module", "is_surely"),
    [
        ("class A(nn.Module):", True, True),
        ("class A(torch.nn.Module):", True, True),
        ("class A(nn.Linear):", True, True),
        ("class B(nn.Module): pass\nclass A(B):", True, True),
        ("import lightning as L\nclass A(L.LightningModule):", True, True),
        ("from x import Base\nclass A(Base):", True, False),
        ("from x import Base\nclass A(Base, nn.Module):", True, True),
        ("class A:", False, False),
        ("class A(object):", False, False),
        ("class A(torch.autograd.Function):", False, False),
        ("from torch.autograd import Function\nclass A(Function):", False, False),
        ("import flax.linen as fnn\nclass A(fnn.Module):", False, False),
        ("import keras\nclass A(keras.layers.Layer):", False, False),
        (
            "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass A(Generic[T]):",
            False,
            False,
        ),
        ("class A(nn.Parameter):", False, False),
        ("class A(nn.functional.relu):", False, False),
        ("class A(torch.Tensor):", False, False),
        ("class A(Exception):", False, False),
        ("class A(unknown.Base):", True, False),
        ("from abc import ABC\nclass A(ABC):", False, False),
        ("from x import Base\nclass A(Base, torch.autograd.Function):", False, False),
        ("from transformers import PreTrainedModel\nclass A(PreTrainedModel):", True, True),
        ("from transformers import TFPreTrainedModel\nclass A(TFPreTrainedModel):", True, False),
        ("from mindspore import GraphModule\nclass A(GraphModule):", False, False),
    ],
)
def test_which_classes_are_modules(head, is_module, is_surely):
    code = code_of(f"{head}\n    def forward(self, x):\n        return x\n")
    cls = code.classes[-1]
    assert (cls.is_module, cls.is_surely_module) == (is_module, is_surely)


def test_a_method_of_a_base_is_found_however_many_are_below():
    """Each class remembers it, so that the next does not go all the way."""
    base = code_of("class A:\n    def f(self): pass").classes[0]
    cls = base
    for _ in range(2_000):
        cls = Class(base.node, "B", (cls,))
        found = cls.method("f")
    assert found is base.methods["f"]
    assert cls.method("g") is None
    cls.forget()
    assert cls.method("f") is found


def test_an_unknown_base_without_forward_is_no_module():
    assert (
        not code_of("from x import Base\nclass A(Base):\n    def run(self): pass")
        .classes[0]
        .is_module
    )


def test_attributes_are_collected_with_their_methods():
    code = code_of("""
        class A(nn.Module):
            level = 3
            def __init__(self):
                self.drop = nn.Dropout(0.1)
                self.a, self.b = 1, 2
            def reset(self):
                self.a += 1
    """)
    [cls] = code.classes
    assert {name: len(found) for name, found in cls.attributes.items()} == {
        "level": 1,
        "drop": 1,
        "a": 2,
        "b": 1,
    }
    assert cls.attributes["drop"][0].function.name == "__init__"
    assert cls.attributes["level"][0].function is None
    assert cls.attributes["a"][1].value is None


# --- Calls --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("F.dropout(x)", None),
        ("F.dropout(x, 0.5, t)", "t"),
        ("F.dropout(x, training=t)", "t"),
        ("F.dropout(x, *rest)", UNKNOWN),
        ("F.dropout(*rest)", UNKNOWN),
        ("F.dropout(x, **kw)", UNKNOWN),
        ("F.dropout(x, training=t, **kw)", "t"),
        ("F.dropout(x, 0.5, t, **kw)", "t"),
    ],
)
def test_arguments_by_place_and_by_name(call, expected):
    _, found = drop_in(call)
    given = found.argument("training")
    assert (given.id if isinstance(given, ast.Name) else given) == expected


@pytest.mark.parametrize(
    ("bound", "name"),
    [
        ("F.dropout, p=0.5", "torch.nn.functional.dropout"),
        ("nn.Dropout, p=0.5", None),
        ("unknown.run, p=0.5", None),
    ],
)
def test_a_call_of_what_is_bound_has_the_name_of_its_function(bound, name):
    code = code_of(
        f"from functools import partial\ndef f(unknown):\n    run = partial({bound})\n    run(1)\n"
    )
    call = code.calls[-1]
    assert (call.name, call.partial is not None) == (name, name is not None)


def test_an_argument_that_may_be_there_has_no_truth():
    _, found = drop_in("F.dropout(*rest)")
    with pytest.raises(TypeError, match="is UNKNOWN"):
        bool(found.argument("p"))


def test_callers_are_found_by_name_by_self_and_through_modules():
    code = code_of("""
        def helper(x): pass
        class Inner(nn.Module):
            def forward(self, x): pass
        class Outer(nn.Module):
            def __init__(self):
                self.inner = Inner()
            def forward(self, x):
                self._part(x)
                return self.inner(helper(x))
            def _part(self, x): pass
            def other(self, x): pass
    """)
    steps = {
        (f.cls.name if f.cls else "", f.name): (f.is_step, len(f.callers)) for f in code.functions
    }
    assert steps == {
        ("", "helper"): (True, 1),
        ("Inner", "forward"): (True, 1),
        ("Outer", "__init__"): (False, 0),
        ("Outer", "forward"): (True, 0),
        ("Outer", "_part"): (True, 1),
        ("Outer", "other"): (False, 0),
    }


def test_what_a_caller_gives():
    code = code_of("""
        def f(a, b=2, *, c=3): pass
        class A:
            def g(self, a, b=4): pass
            @staticmethod
            def h(a, b): pass
            def run(self):
                f(1, 5)
                self.g(6, 7)
                self.h(8, 9)
                f(*x)
    """)
    f, g, h = (next(one for one in code.functions if one.name == name) for name in "fgh")
    value = code.value
    assert [value(f.given(f.callers[0], name)) for name in "abc"] == [1, 5, 3]
    assert [value(g.given(g.callers[0], name)) for name in "ab"] == [6, 7]
    assert [value(h.given(h.callers[0], name)) for name in "ab"] == [8, 9]
    assert f.given(f.callers[1], "b") is UNKNOWN


# --- Values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("f(0.5)", 0.5),
        ("f(-1)", -1),
        ("f(1 - 0.25)", 0.75),
        ("f(1 / 0)", UNKNOWN),
        ("f(3 / 1)", 3.0),
        ("f(1 + 2)", 3),
        ("f(2 * 0.5)", 1.0),
        ("f(2 ** 3)", UNKNOWN),
        ("f(1 + 'a')", UNKNOWN),
        ("f('a' + 'b')", UNKNOWN),
        ("f(+1)", 1),
        ("f(-'a')", UNKNOWN),
        ("f(not 1)", UNKNOWN),
        ("P = 0.5\nf(P)", 0.5),
        ("P = 0.5\nP = 0.6\nf(P)", UNKNOWN),
        ("P = Q\nQ = P\nf(P)", UNKNOWN),
        ("f(True)", True),
        ("f(None)", None),
        ("f('a')", "a"),
        ("def g(p=0.5):\n    f(p)", UNKNOWN),
        ("class A:\n    p = 0.5\n    def g(self):\n        f(self.p)", 0.5),
        ("for p in (1, 2):\n    f(p)", UNKNOWN),
        ("p = 1\np += 1\nf(p)", UNKNOWN),
        # As deep as people write it, and deeper.
        *(
            (source, expected if count == 8 else UNKNOWN)
            for count in (8, 40)
            for source, expected in (
                ("".join(f"p{i} = p{i + 1}\n" for i in range(count)) + f"p{count} = 1\nf(p0)", 1),
                (f"f({'-' * count}1)", 1),
                (f"f(1{' + 1' * count})", 9),
                (f"f({'1 + (' * count}1{')' * count})", 9),
            )
        ),
    ],
)
def test_values(source, expected):
    code = code_of(source)
    [call] = [c for c in code.calls if getattr(c.node.func, "id", "") == "f"]
    found = code.value(call.node.args[0])
    assert found is expected or (found == expected and type(found) is type(expected))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nn.Sequential(a, b)", ["a", "b"]),
        ("nn.Sequential(*[a, b], c)", ["a", "b", "c"]),
        ("layers = [a, b]\nnn.Sequential(*layers)", ["a", "b"]),
        ("layers = [a]\nlayers.append(b)\nnn.Sequential(*layers)", None),
        ("layers = [a]\nlayers += [b]\nnn.Sequential(*layers)", None),
        ("layers = [a]\nlayers[0] = b\nnn.Sequential(*layers)", None),
        ("nn.Sequential(*make())", None),
        ("from collections import OrderedDict\nnn.Sequential(OrderedDict([('x', a), ('y', b)]))",
         ["a", "b"]),
        ("import collections as c\nnn.Sequential(c.OrderedDict({'x': a, 'y': b}))", ["a", "b"]),
        ("from collections import OrderedDict\nnn.Sequential(OrderedDict([('x', a), b]))", []),
        ("from collections import OrderedDict\nnn.Sequential(OrderedDict([('x', a, b)]))", []),
        ("from collections import OrderedDict\nnn.Sequential(OrderedDict([('x', a)], y=b))", []),
        ("from collections import OrderedDict\nnn.Sequential(OrderedDict([('x', a)]), b)", ["b"]),
        ("nn.Sequential(layers)", ["layers"]),
        ("nn.Sequential(a, name=b)", None),
        ("nn.ModuleList([a])", None),
    ],
)  # fmt: skip
def test_sequences(source, expected):
    code = code_of(source)
    call = (
        code.calls[-1]
        if expected is None
        else next(c for c in code.calls if c.name == "torch.nn.Sequential")
    )
    found = code.sequence(call)
    names = found and [each.id for each in found if isinstance(each, ast.Name)]  # or an OrderedDict
    assert names == expected


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        ("class A(nn.Sequential):", "super().__init__(a, b)", ["a", "b"]),
        ("class A(nn.Sequential):", "super(A, self).__init__(a, b)", ["a", "b"]),
        ("class A(nn.Sequential):", "super().__init__()", None),
        ("class A(nn.Sequential):", "super().__init__(a, name=b)", None),
        ("class A(nn.Sequential):", "super().setup(a, b)", None),
        ("class A(nn.Sequential):", "self.more.__init__(a, b)", None),
        ("class A(nn.Sequential):", "setup(a, b)", None),
        ("class A(nn.Module):", "super().__init__(a, b)", None),
        ("class A(Mixin, nn.Sequential):", "super().__init__(a, b)", None),
        ("class B(nn.Sequential): pass\nclass A(B):", "super().__init__(a, b)", ["a", "b"]),
        ("if x:", "super().__init__(a, b)", None),
    ],
)
def test_a_class_that_is_a_sequential(head, body, expected):
    code = code_of(f"{head}\n    def __init__(self, a, b):\n        {body}\n")
    found = code.sequence(code.calls[0])
    assert (found and [each.id for each in found]) == expected


def test_a_list_is_expanded_as_often_as_people_write_it():
    code = code_of("layers = [a, b]\n" + "nn.Sequential(*layers)\n" * 200)
    found = [code.sequence(call) for call in code.calls]
    assert len(found[0]) == len(found[20]) == 2
    assert found[-1] is None


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("'conv'", Pattern("conv", True)),
        ("1", None),
        ("f'conv{i}'", Pattern("conv", False)),
        ("f'{i}conv'", Pattern("", False, "conv")),
        ("f'conv{i}_norm'", Pattern("conv", False, "_norm")),
        ("f''", Pattern("", False)),
        ("'conv' + i", Pattern("conv", False)),
        ("'conv' + 'norm'", Pattern("conv", False, "norm")),
        ("'conv' + str(i) + '_norm'", Pattern("conv", False, "_norm")),
        ("'conv' + f'{i}_norm'", Pattern("conv", False, "_norm")),
        ("i + 'conv'", None),
        ("'conv' * 2", None),
        ("'conv%d_norm' % i", Pattern("conv", False)),
        ("'conv{}_norm'.format(i)", Pattern("conv", False)),
        ("i.format(i)", None),
        ("'conv'.upper()", None),
        ("NAME", Pattern("conv", True)),
        ("OTHER", None),
        ("TWICE", None),
        ("i", None),
    ],
)
def test_what_is_known_of_a_text(expr, expected):
    code = code_of(f"NAME = 'conv'\nOTHER = NAME\nTWICE = 'a'\nTWICE = 'b'\nprint({expr})")
    assert code.pattern(code.tree.body[-1].value.args[0]) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Pattern("conv", True), Pattern("conv", True), True),
        (Pattern("conv", True), Pattern("conv1", True), False),
        (Pattern("conv1", True), Pattern("conv", False), True),
        (Pattern("conv1", True), Pattern("norm", False), False),
        (Pattern("conv1_a", True), Pattern("conv", False, "_a"), True),
        (Pattern("conv1_a", True), Pattern("conv", False, "_b"), False),
        (Pattern("conva", True), Pattern("conv", False, "va"), False),
        (Pattern("conva", True), Pattern("conv", False, "a"), True),
        (Pattern("conv", False), Pattern("conv", False), True),
        (Pattern("conv", False), Pattern("con", False), True),
        (Pattern("conv", False), Pattern("norm", False), False),
        (Pattern("conv", False, "_a"), Pattern("conv", False, "1_a"), True),
        (Pattern("conv", False, "_a"), Pattern("conv", False, "_b"), False),
        (Pattern("conv", False, "_a"), Pattern("norm", False, "_a"), False),
    ],
)
def test_which_texts_may_be_the_same(one, other, expected):
    assert one.matches(other) is other.matches(one) is expected


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ("g(1)", "g"),
        ("h(1)", "g"),
        ("twice(1)", None),
        ("number(1)", None),
        ("A(1)", "A"),
        ("A.f(1)", "f"),
        ("B.f(1)", "f"),
        ("g.f(1)", None),
        ("A.g(1)", None),
        ("twice.f(1)", None),
        ("A.f.f(1)", None),
        ("print(1)", None),
    ],
)
def test_what_of_the_file_is_named(called, expected):
    code = code_of(f"""
class A:
    def f(self): pass
class B(A): pass
def g(): pass
h = g
k = g
twice = k
k = A
number = 3
{called}
""")
    found = code.local(code.calls[-1].node.func)
    assert (found and found.name) == expected


def test_references_to_what_is_imported_under_other_names():
    code = code_of("""
        try:
            from a import Net as Model
        except ImportError:
            from b import Other as Model
        from c import More
        Model()
        More()
        Net()
        c.Net()
    """)
    found = [ast.unparse(each) for each in code.references("Net")]
    assert found == ["Model", "Net", "c.Net"]


def test_a_name_at_two_places():
    code = code_of("""
        x = 1
        def f(y):
            a(x)
            def g():
                b(x)
        def h(x):
            c(x)
    """)
    a, b, c = (call.node for call in code.calls)
    assert code.is_same("x", a, b) is code.is_same("x", b, a) is True
    assert code.is_same("x", a, c) is code.is_same("x", c, b) is False
    assert code.is_same("unknown", a, b) is False
    assert code.is_same("y", a, b) is True
    assert code.is_same("y", a, c) is False


def test_what_other_files_may_ask_of_a_module():
    code = code_of("""
        from a import Net as Model
        from .b import more
        from c import *
        from . import *
        x = 1
        x = y = 2
        def f():
            from d import inner
            x = 3
        class A: pass
        f = f if x else None
    """)
    assert [code.passed_on(name) for name in ("Model", "more", "x")] == [["a.Net"], [".b.more"], []]
    assert code.passed_on("unknown") == ["c.unknown", ".unknown"]
    torchs = ["torch", "math", "torch.nn.functional", "torch.nn"]
    assert code.imports() == ["c", ".", *torchs, "a.Net", ".b.more"]
    assert [each.value for each in code.stored("x")] == [1, 2]
    assert code.stored("A") == [None]
    assert code.stored("unknown") == []
    found = {name: code.defined(name) for name in ("A", "f", "x", "Model", "unknown")}
    assert found.pop("A").name == "A"
    assert set(found.values()) == {None}


# --- Places -------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_places_count_characters(end, bom):
    text = bom + end.join(["é = 'ü'; f(0)", "# ä", "ß = ['€', f(1)]", ""])
    code = Code(text)
    assert [code.text_of(call.node) for call in code.calls] == ["f(0)", "f(1)"]
    starts = [code.span(call.node)[0] for call in code.calls]
    assert [code.position(start) for start in starts] == [(1, 10), (3, 11)]
    assert [code.line(n) for n in (1, 2, 3)] == ["é = 'ü'; f(0)", "# ä", "ß = ['€', f(1)]"]


def test_depth_is_no_limit_of_ours():
    code = Code("x = " + " + ".join(["a"] * 900) + "\nf(x)")
    assert code.value(code.calls[0].node.args[0]) is UNKNOWN
    assert not code.depends_on_training(code.calls[0].node.args[0])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tests/model.py", True),
        ("a/test_model.py", True),
        ("a\\tests\\model.py", True),
        ("model_test.py", True),
        ("conftest.py", True),
        ("contest.py", False),
        ("latest/model.py", False),
    ],
)
def test_which_files_are_tests(path, expected):
    assert code_of("", path).is_test is expected


# --- Training -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "if self.training:\n    x = F.dropout(x)",
        "if self.training and self.p > 0:\n    x = F.dropout(x)",
        "if not self.training:\n    return x\nx = F.dropout(x)",
        "if not self.training:\n    pass\nelse:\n    x = F.dropout(x)",
        "x = F.dropout(x) if self.training else x",
        "x = self.training and F.dropout(x)",
        "train = self.training\nif train:\n    x = F.dropout(x)",
        "on = self.training and self.p > 0\nif on:\n    x = F.dropout(x)",
        "while self.training:\n    x = F.dropout(x)",
        "match self.mode:\n    case 'train':\n        x = F.dropout(x)",
        "if self.is_train:\n    x = F.dropout(x)",
        "if not self.inference_mode:\n    x = F.dropout(x)",
        "if flag == 'train':\n    x = F.dropout(x)",
        "if not deterministic:\n    x = F.dropout(x)",
        "def inner(x):\n    return F.dropout(x)\nif self.training:\n    x = inner(x)"
        "\nelif self.training:\n    pass",
        "for y in x:\n    if not self.training:\n        continue\n    F.dropout(y)",
        "if self.should_drop():\n    x = F.dropout(x)",
        "if self.train_mode == 'full':\n    x = F.dropout(x)",
        "if self.phase == 'bilinear':\n    x = F.dropout(x)",
        "if self.mode == 'fit':\n    x = F.dropout(x)",
        "if self.mode in ('bilinear', 'train'):\n    x = F.dropout(x)",
        "if 'a' < self.mode < 'b':\n    x = F.dropout(x)",
        "if self.mode == other:\n    x = F.dropout(x)",
        "if self.mode == 1:\n    x = F.dropout(x)",
        "x = [F.dropout(y) for y in x if self.training]",
        "x = x or self.training or F.dropout(x)",
        "assert self.training\nx = F.dropout(x)",
        "x = {True: F.dropout(x), False: x}[self.training]",
        "if not self.training and self.p == 0 == flag:\n    return x\nx = F.dropout(x)",
        "a, b = self.training, 1\nif a:\n    x = F.dropout(x)",
        "a, *b = self.training, 1\nif a:\n    x = F.dropout(x)",
        "with self.training as on:\n    pass\nif on:\n    x = F.dropout(x)",
        "for on in self.train_steps:\n    pass\nif on:\n    x = F.dropout(x)",
        "on: bool = self.training\nif on:\n    x = F.dropout(x)",
    ],
)
def test_gates_are_seen(body):
    code, call = drop_in(method(body))
    inner = [
        c for c in code.calls if isinstance(c.node.func, ast.Name) and c.node.func.id == "inner"
    ]
    assert code.gated((inner[0] if inner else call).node)


@pytest.mark.parametrize(
    "body",
    [
        "x = F.dropout(x)",
        "if self.p > 0:\n    x = F.dropout(x)",
        "if x.size(0) > 1:\n    x = F.dropout(x)",
        "if self.p is None:\n    return x\nx = F.dropout(x)",
        "x = F.dropout(x)\nif self.training:\n    return x",
        "if self.training:\n    y = x\nx = F.dropout(x)",
        "if self.pretrained:\n    x = F.dropout(x)",
        "if F.dropout(x) is None:\n    pass",
        "if torch.is_tensor(x):\n    x = F.dropout(x)",
        "if len(x) > 3:\n    x = F.dropout(x)",
        "x = F.dropout(x) if flag else x",
        "if self.mode == 'bilinear':\n    x = F.dropout(x)",
        "if self.mode in ('bilinear', 'cubic'):\n    x = F.dropout(x)",
        "if not self.training and self.p == 0:\n    return x\nx = F.dropout(x)",
        "x = [F.dropout(y) for y in x if flag]",
        "x = flag or F.dropout(x) or self.training",
        "x, train_x = abs(x), 1\nif x:\n    x = F.dropout(x)",
        "x, *train_x = y\nif x:\n    x = F.dropout(x)",
    ],
)
def test_what_is_no_gate(body):
    code, call = drop_in(method(body))
    assert not code.gated(call.node)


LOSS = "class A(nn.Module):\n    def compute_loss(self, x):\n        return F.dropout(x)\n"
CHOSEN = (
    "class A(nn.Module):\n    def noisy(self, x):\n        return F.dropout(x)\n"
    "    def plain(self, x):\n        return x\n    def forward(self, x, flag):\n        return "
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def train_epoch(x):\n    return F.dropout(x)", True),
        ("def run_epoch(x):\n    return F.dropout(x)", False),
        # The loss of a Module.
        (LOSS, True),
        (LOSS.replace("compute", "val"), False),
        (LOSS.replace("(nn.Module)", ""), False),
        ("def compute_loss(x):\n    return F.dropout(x)", False),
        *(
            (f"{LOSS}    def {name}(self, x):\n        return self.{called}(x)\n", expected)
            for name, called, expected in (
                *(("forward", "compute_loss", False), ("evaluate", "compute_loss", False)),
                *(("train_and_evaluate", "compute_loss", False), ("evaluate", "other", True)),
                *(("train_epoch", "compute_loss", True), ("run", "compute_loss", True)),
            )
        ),
        # What is chosen, or called, by the mode.
        (f"{CHOSEN}{{True: self.noisy, False: self.plain}}[self.training](x)", True),
        (f"{CHOSEN}[self.plain, self.noisy][self.training](x)", True),
        (f"{CHOSEN}[self.plain, self.noisy][flag](x)", False),
        (f"{CHOSEN}self.noisy(x) if self.training else self.plain(x)", True),
        (f"{CHOSEN}self.noisy(x) if self.training else self.noisy(-x)", True),
        (f"{CHOSEN}self.noisy(self.noisy(x) if self.training else x)", False),
        (f"{CHOSEN}self.plain(x)", False),
    ],
)
def test_functions_that_run_in_training_alone(source, expected):
    code, call = drop_in(source)
    assert code.gated(call.node) is expected


@pytest.mark.parametrize(
    ("body", "init"),
    [
        ("F.dropout(x, self.p if self.training else 0.)", ""),
        ("F.dropout(x, self.p * self.training)", ""),
        ("F.dropout(x, self.training and self.p or 0.)", ""),
        ("p = self.p\nif not self.training:\n    p = 0.\nF.dropout(x, p)", ""),
        ("p = self.p\np *= self.training\nF.dropout(x, p)", ""),
        ("p = 0. if not self.training else self.p\nq = p\nF.dropout(x, q)", ""),
        ("F.dropout(x, self.rate)", "\n    @property\n    def rate(self):\n"
         "        return self.p if self.training else 0"),
        ("F.dropout(x, self.rate())", "\n    def rate(self):\n"
         "        return self.p * self.training"),
        ("F.dropout(x, self.p)", "\n    def train(self, mode=True):\n        self.p = 0.1 * mode"),
        ("F.dropout(x, rate(self))", "\nfrom x import rate"),
    ],
)  # fmt: skip
def test_rates_that_depend_on_training(body, init):
    source = method(body)
    if init.startswith("\nfrom"):
        source = init + source
    else:
        source += init
    code, call = drop_in(source)
    assert code.depends_on_training(call.argument("p"))


@pytest.mark.parametrize(
    "p", ["self.p", "0.1", "flag", "float(self.p)", "max(self.p, 0.)", "self.cfg.p", "cfg['p']"]
)
def test_rates_that_do_not(p):
    code, call = drop_in(method(f"F.dropout(x, {p})"))
    assert not code.depends_on_training(call.argument("p"))


@pytest.mark.parametrize(
    ("place", "statement", "rate", "expected"),
    [
        # What a function of another file says, once or at each call.
        ("module", "on = use_fused()", "on", False),
        ("module", "on = not use_fused()", "on", False),
        ("module", "on = use_fused(1)", "on", False),
        ("module", "on = is_training()", "on", True),
        ("__init__", "self.on = use_fused()", "self.on", False),
        ("__init__", "self.on = torch.cuda.is_available()", "self.on", False),
        ("__init__", "self.on = torch.is_grad_enabled()", "self.on", True),
        ("__init__", "self.on = self.other()", "self.on", True),
        ("__init__", "self.on = rate(self)", "self.on", True),
        ("__init__", "self.on = rate(cfg)", "self.on", False),
        ("__init__", "if cfg.training:\n            self.on = use_fused()", "self.on", True),
        ("reset", "self.on = use_fused()", "self.on", True),
        ("module", "", "use_fused()", True),
        ("module", "", "rate(cfg)", False),
        ("module", "", "rate(self)", True),
        ("module", "", "self.other()", True),
        ("module", "", "cfg.get()", False),
        ("module", "", "max(0.1, self.p)", False),
        ("module", "", "eval('0.1')", False),
        ("module", "import ast", "ast.literal_eval(cfg.p)", False),
        ("module", "", "self.eval", True),
        # The mode of a Module, which is that of training in its `__init__`.
        ("__init__", "self.on = self.training", "self.on", False),
        ("__init__", "self.on = not self.training", "self.on", False),
        ("__init__", "self.on = cfg.training", "self.on", True),
        ("reset", "self.on = self.training", "self.on", True),
        ("reset", "self.on = 0.1", "self.on", False),
        ("set_train", "self.on = 0.1", "self.on", True),
        ("__init__", "if cfg.training:\n            self.on = 0.1", "self.on", True),
    ],
)
def test_where_a_rate_that_may_depend_on_training_is_set(place, statement, rate, expected):
    code, call = drop_in(f"""
from x import use_fused, rate
{statement if place == "module" else ""}
class A(nn.Module):
    def {"reset" if place == "module" else place}(self, cfg):
        {"pass" if place == "module" else statement}
    def forward(self, x, cfg):
        return F.dropout(x, {rate})
""")
    assert code.depends_on_training(call.argument("p")) is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (method("F.dropout(x)"), "self"),
        (method("def inner():\n    return F.dropout(x)\ninner()"), "self"),
        (method("self = 3\nF.dropout(x)"), None),
        ("class A(nn.Module):\n    def forward(this, x):\n        F.dropout(x)", "this"),
        ("class A(nn.Module):\n    @staticmethod\n    def f(x):\n        F.dropout(x)", None),
        ("class A(nn.Module):\n    @classmethod\n    def f(cls, x):\n        F.dropout(x)", None),
        ("def f(self, x):\n    F.dropout(x)", None),
    ],
)
def test_what_a_method_calls_its_object(source, expected):
    code, call = drop_in(source)
    assert code.receiver(call.node) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MCDropout", True),
        ("BayesianNet", True),
        ("Prenet", True),
        ("MyNet", False),
        ("McNet", True),
    ],
)
def test_what_is_deliberate_by_its_name(name, expected):
    code, call = drop_in(method("F.dropout(x)").replace("class A", f"class {name}"))
    assert code.is_deliberate(call.node) is expected


def test_what_stands_for_itself_ends():
    code, call = drop_in(
        method("self.forward(F.dropout(x, self.cfg.p))", init="self.cfg = self.cfg")
    )
    assert not code.gated(call.node)
    assert not code.depends_on_training(call.argument("p"))


def test_a_path_says_what_is_deliberate_too():
    for path, expected in (("net/bayesian/weight_drop.py", True), ("net/model.py", False)):
        code = code_of(method("F.dropout(x)"), path)
        assert code.is_deliberate(code.calls[-1].node) is expected


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("not p", True),
        ("not self.dropout", True),
        ("not x", False),
        ("p", False),
        ("-p", False),
        ("p == 0", True),
        ("p <= 0.0", True),
        ("drop_rate == 0", True),
        ("p == 1", False),
        ("p != 0", False),
        ("p < 0", False),
        ("p == q", False),
        ("p == 0 == x", False),
        ("x == 0", False),
        ("self.dropout is None", True),
        ("self.dropout is 0", False),
        ("self.dropout == None", False),
        ("self.dropout is not None", False),
        ("not p(x)", False),
    ],
)
def test_what_asks_for_a_rate_of_zero(test, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of `is 0`
        expr = ast.parse(test, mode="eval").body
    assert is_no_rate(expr) is expected
