"""TD151: a checkpoint round a dropout that does not restore the generators."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from torchdropout_audit.source import audit_text

HEAD = """
import functools
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

class Block(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.drop = nn.Dropout(p)
    def forward(self, x):
        return self.drop(self.fc(x))

class Quiet(nn.Module):
    def __init__(self, p=0.0):
        super().__init__()
        self.p = p
        self.drop = nn.Dropout(self.p)
    def forward(self, x):
        return self.drop(x)

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.none = nn.Dropout(0.0)
    def forward(self, x):
        return self.none(self.fc(x))

class Net(nn.Module):
    def __init__(self, p, flag):
        super().__init__()
        self.block = Block(p)
        self.quiet = Quiet()
        self.plain = Plain()
        self.blocks = nn.ModuleList([Block(p) for _ in range(4)])
        self.plains = nn.ModuleList([Plain() for _ in range(4)])
        self.layer = nn.TransformerEncoderLayer(8, 2)
        self.encoder = nn.TransformerEncoder(self.layer, 2)
        self.silent_layer = nn.TransformerEncoderLayer(8, 2, dropout=0)
        self.attention = nn.MultiheadAttention(8, 2)
        self.either = Block(p) if flag else Plain()
        self.drop = nn.Dropout(p)
    def helper(self, x):
        return F.dropout(x, 0.1, self.training)
    def deeper(self, x):
        return self.helper(x) + 1
    def without(self, x):
        return F.dropout(x, 0.1, False) + self.plain(x)
    def wrap(self, module):
        def run(*given):
            return module(*given)
        return run
    def forward(self, x):
"""
LINE = HEAD.count("\n") + 1
OFF = "preserve_rng_state=False"


def found(*lines):
    text = HEAD + "".join(f"        {line}\n" for line in lines)
    return audit_text(text, rules={"checkpoint-without-rng"})


@pytest.mark.parametrize(
    "what",
    [
        "self.block",
        "self.block.forward",
        "self.blocks[0]",
        "self.layer",
        "self.encoder",
        "self.drop",
        "self.helper",
        "self.deeper",
        "lambda y: self.drop(y)",
        "functools.partial(self.helper)",
        "self.wrap(self.block)",
        "nn.Sequential(Plain(), nn.Dropout(0.1))",
        "Block(0.1)",
    ],
)
def test_found(what):
    (hit,) = found(f"return checkpoint({what}, x, use_reentrant=False, {OFF})")
    assert (hit.line, hit.severity) == (LINE, "error")
    assert " on line " in hit.message


@pytest.mark.parametrize(
    "lines",
    [
        ["for block in self.blocks:", f"    x = checkpoint(block, x, {OFF})"],
        ["for i, block in enumerate(self.blocks):", f"    x = checkpoint(block, x, {OFF})"],
        ["for block in reversed(self.blocks):", f"    x = checkpoint(block, x, {OFF})"],
        [
            "for i, (one, two) in enumerate(zip(self.plains, self.blocks)):",
            f"    x = checkpoint(two, x, {OFF})",
        ],
        ["block = self.blocks[1]", f"return checkpoint(block, x, {OFF})"],
        ["def run(y):", "    return self.block(y)", f"return checkpoint(run, x, {OFF})"],
        ["run = self.wrap(self.block)", f"return checkpoint(run, x, {OFF})"],
        ["off = False", "return checkpoint(self.block, x, preserve_rng_state=off)"],
        [f"return checkpoint(function=self.block, {OFF})"],
        [f"return checkpoint_sequential(self.blocks, 2, x, {OFF})"],
        [f"return checkpoint_wrapper(self.block, {OFF})"],
    ],
)
def test_found_through_names(lines):
    (hit,) = found(*lines)
    assert hit.severity == "error"


def test_a_rate_that_is_0_by_default_is_advice():
    (hit,) = found(f"return checkpoint(self.quiet, x, {OFF})")
    assert hit.severity == "advice"


@pytest.mark.parametrize(
    "lines",
    [
        ["return checkpoint(self.block, x)"],
        ["return checkpoint(self.block, x, preserve_rng_state=True)"],
        ["return checkpoint(self.block, x, preserve_rng_state=self.preserve)"],
        [f"return checkpoint(self.plain, x, {OFF})"],
        [f"return checkpoint(self.plains[0], x, {OFF})"],
        [f"return checkpoint(self.silent_layer, x, {OFF})"],
        [f"return checkpoint(self.attention, x, {OFF})"],
        [f"return checkpoint(self.either, x, {OFF})"],
        [f"return checkpoint(self.without, x, {OFF})"],
        [f"return checkpoint(self.elsewhere, x, {OFF})"],
        [f"return checkpoint(lambda y: self.plain(y), x, {OFF})"],
        [f"return checkpoint(self.wrap(self.plain), x, {OFF})"],
        [f"return checkpoint(*x, {OFF})"],
        [
            "for one, two in zip(self.plains, self.blocks):",
            f"    x = checkpoint(one, x, {OFF})",
        ],
        ["for block in x.blocks:", f"    x = checkpoint(block, x, {OFF})"],
        [f"return self.checkpoint(self.block, x, {OFF})"],
    ],
)
def test_clean(lines):
    assert found(*lines) == []


def test_the_gradient_is_that_of_another_mask():
    torch.manual_seed(0)
    drop = nn.Dropout(0.5)
    for preserve in (True, False):
        x = torch.ones(4096, requires_grad=True)
        y = checkpoint(drop, x, use_reentrant=False, preserve_rng_state=preserve)
        y.sum().backward()
        assert torch.equal(x.grad, y.detach()) is preserve


def test_attributes_that_stand_for_each_other():
    text = HEAD.replace("self.p = p", "self.p = self.q\n        self.q = self.p")
    line = f"        return checkpoint(self.quiet, x, {OFF})\n"
    (hit,) = audit_text(text + line, rules={"checkpoint-without-rng"})
    assert hit.severity == "error"


def test_modules_that_hold_themselves():
    lines = ["y = nn.Sequential(y, y)"] * 6
    assert found(*lines, f"return checkpoint(y, x, {OFF})") == []


def test_a_name_that_may_be_a_module_without_dropout_is_not_found():
    for other in ("Plain()", "x.other"):
        for one, two in (("Block(0.1)", other), (other, "Block(0.1)")):
            lines = ["if x is None:", f"    one = {one}", "else:", f"    one = {two}"]
            assert found(*lines, f"return checkpoint(one, x, {OFF})") == []


def test_a_class_that_is_built_in_two_places():
    lines = ["if x is None:", "    one = Block(0.1)", "else:", "    one = Block(0.2)"]
    (hit,) = found(*lines, f"return checkpoint(one, x, {OFF})")
    assert hit.severity == "error"


@pytest.mark.parametrize(
    ("rnn", "severities"),
    [
        ("nn.GRU(8, 8, dropout=0.1)", []),
        ("nn.GRU(8, 8, 1, dropout=0.1)", []),
        ("nn.GRU(8, 8, 2)", []),
        ("nn.GRU(8, 8, 2, dropout=0.1)", ["error"]),
        ("nn.LSTM(8, 8, num_layers=self.n, dropout=0.1)", ["error"]),
    ],
)
def test_rnns(rnn, severities):
    hits = found(f"return checkpoint({rnn}, x, {OFF})")
    assert [hit.severity for hit in hits] == severities


def test_a_message_is_one_line():
    (hit,) = found("return checkpoint(lambda y: (", "    self.drop(y) +", f"    y), x, {OFF})")
    assert "\n" not in hit.message


@pytest.mark.parametrize(("deep", "count"), [(2, 1), (30, 1), (60, 0)])
def test_what_stands_for_something_else_is_followed_to_a_depth(deep, count):
    names = ["a0 = self.block", *(f"a{i + 1} = a{i}" for i in range(deep))]
    assert len(found(*names, f"return checkpoint(a{deep}, x, {OFF})")) == count
    nested = "nn.Sequential(" * deep + "self.block" + ")" * deep
    assert len(found(f"return checkpoint({nested}, x, {OFF})")) == count
    wide = f"nn.Sequential({'Plain(), ' * 60}{nested})"
    assert len(found(f"return checkpoint({wide}, x, {OFF})")) == count


@pytest.mark.parametrize(
    ("lines", "severities"),
    [
        (["return checkpoint(self, x, OFF)"], ["error"]),
        (["return checkpoint([self.plain, self.block], x, OFF)"], ["error"]),
        (["return checkpoint([self.plain, self.quiet], x, OFF)"], ["advice"]),
        (["return checkpoint([self.quiet, self.block], x, OFF)"], ["error"]),
        (["return checkpoint([self.block, self.quiet], x, OFF)"], ["error"]),
        (["return checkpoint((self.plain, self.plain), x, OFF)"], []),
        (["return checkpoint([Block(0.1) for _ in x], x, OFF)"], ["error"]),
        (["return checkpoint(self.block.__call__, x, OFF)"], ["error"]),
        (["return checkpoint(self.block.prepare, x, OFF)"], []),
        (["return checkpoint(-self.block, x, OFF)"], []),
        (["return checkpoint(OFF)"], []),
        (["return checkpoint(*self.blocks, OFF)"], []),
        (["return checkpoint(x, self.block, OFF)"], []),
        (["return checkpoint(functools.partial(), x, OFF)"], []),
        (["return checkpoint(functools.partial(self.without, self.block), x, OFF)"], []),
        (["return checkpoint(prepared(self.block), x, OFF)"], []),
        (["return checkpoint(torch.nn.Sequential(head=self.block), x, OFF)"], ["error"]),
        (["return checkpoint(torch.jit.script(self.block), x, OFF)"], []),
        (["return checkpoint(self.deeper(self.block), x, OFF)"], []),
        (["return checkpoint(self.wrap(module=self.block), x, OFF)"], ["error"]),
        (["def run(y):", "    return Block(0.1)(y)", "return checkpoint(run, x, OFF)"], ["error"]),
        (["def run(y):", "    return run(y) + y", "return checkpoint(run, x, OFF)"], []),
        (["class Other:", "    drop = nn.Dropout(0.1)", "checkpoint(Other(), x, OFF)"], []),
        (["checkpoint(nn.Dropout(*x), x, OFF)"], []),
        (["checkpoint(nn.Dropout(), x, OFF)"], ["error"]),
        (["checkpoint(nn.Dropout(None), x, OFF)"], []),
        (["checkpoint(nn.Dropout(x.p), x, OFF)"], ["error"]),
        (["checkpoint(lambda y: F.dropout(y, 0.1, *x), x, OFF)"], []),
        (["checkpoint(lambda y: F.dropout(y, **x), x, OFF)"], []),
        (["checkpoint(lambda y: F.dropout(y, 0.1), x, OFF)"], ["error"]),
        (["checkpoint(lambda y: F.dropout(y, 0.1, training=False), x, OFF)"], []),
        (["checkpoint(lambda y: torch.dropout(y, 0.1, False), x, OFF)"], []),
        (["checkpoint(lambda y: torch.dropout(y, 0.1, True), x, OFF)"], ["error"]),
        (["checkpoint(lambda y: F.alpha_dropout(y, 0.1), x, OFF)"], []),
        (["checkpoint(lambda y: F.alpha_dropout(y, 0.1, True), x, OFF)"], ["error"]),
    ],
)
def test_what_a_checkpoint_is_given(lines, severities):
    hits = found(*(line.replace("OFF", OFF) for line in lines))
    assert [hit.severity for hit in hits] == severities


@pytest.mark.parametrize(
    ("loop", "count"),
    [
        ("for m in self.blocks", 1),
        ("for m in list(self.blocks)", 1),
        ("for m in list()", 0),
        ("for m in chosen(self.blocks)", 0),
        ("for m in self.blocks.children()", 1),
        ("for m in self.blocks.values()", 1),
        ("for name, m in self.blocks.items()", 1),
        ("for m in self.blocks.parameters()", 0),
        ("for m in children(self.blocks)", 0),
        ("for i, m in enumerate(self.blocks, 1)", 1),
        ("for m, other in enumerate(self.blocks)", 0),
        ("for i, m in enumerate()", 0),
        ("for m in enumerate(self.blocks)", 1),
        ("for other, m in zip(self.plains, self.blocks)", 1),
        ("for m, other in zip(self.plains, self.blocks)", 0),
        ("for other, m in zip(self.blocks)", 0),
        ("for m, other in pairs(self.blocks, self.blocks)", 0),
        ("for i, (other, m) in enumerate(zip(self.plains, self.blocks))", 1),
        ("for i, (m, other) in enumerate(zip(self.plains, self.blocks))", 0),
    ],
)
def test_what_a_loop_assigns(loop, count):
    assert len(found(f"{loop}:", f"    x = checkpoint(m, x, {OFF})")) == count
    assert len(found(f"return [checkpoint(m, x, {OFF}) {loop}]")) == count


def test_a_name_of_two_loops_is_not_known():
    loops = ["for m in self.blocks:", "    x = m(x)", "for m in self.plains:"]
    assert found(*loops, f"    x = checkpoint(m, x, {OFF})") == []


@pytest.mark.parametrize(
    ("rate", "severity"),
    [
        ("p", "advice"),
        ("self.p", "advice"),
        ("q", "error"),
        ("self.q", "error"),
        ("2 * p", "error"),
        ("self.either", "error"),
        ("self.given", "error"),
        ("P", "error"),
    ],
)
def test_a_rate_that_is_off_by_default(rate, severity):
    text = f"""
P = options().p
class Rates(nn.Module):
    def __init__(self, p=0.0, q=0.1):
        super().__init__()
        self.p = p
        self.q = q
        self.either = p
        self.either = q
        self.given = 2 * p
        self.drop = nn.Dropout({rate})
    def forward(self, x):
        return checkpoint(self.drop, x, {OFF})
"""
    [hit] = audit_text(HEAD + "        pass\n" + text, rules={"checkpoint-without-rng"})
    assert hit.severity == severity


def test_a_checkpoint_in_no_function():
    head = HEAD.partition("class Block")[0]
    for line in (
        f"checkpoint(nn.Dropout(p), x, {OFF})",
        f"checkpoint(lambda y: F.dropout(y), {OFF})",
    ):
        assert len(audit_text(head + line, rules={"checkpoint-without-rng"})) == 1
    assert audit_text(head + f"checkpoint(self, x, {OFF})", rules={"checkpoint-without-rng"}) == []


@pytest.mark.parametrize("size", [39, 40])
def test_the_words_of_a_finding(size):
    name = "f" * size
    [hit] = found(f"def {name}(y):", "    return self.block(y)", f"checkpoint({name}, x, {OFF})")
    said = name if size < 40 else "f" * 36 + " ..."
    line = HEAD[: HEAD.index("nn.Dropout")].count("\n") + 1
    assert hit.message == (
        f"the second run of {said} draws other masks than the first (nn.Dropout on line {line})"
    )
