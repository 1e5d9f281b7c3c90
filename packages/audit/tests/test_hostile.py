"""Sources that are made to take long, or to overflow the stack: none takes more than its share."""

# ruff: noqa: E501
import cProfile
import random
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from torchdropout_audit import run as run_module
from torchdropout_audit.code.facts import Facts
from torchdropout_audit.comments import suppress
from torchdropout_audit.files import find_files
from torchdropout_audit.limit import within
from torchdropout_audit.patterns import Patterns
from torchdropout_audit.registry import FINDERS
from torchdropout_audit.run import audit_data, audit_paths
from torchdropout_audit.source import audit_text

HEAD = """\
import functools
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint
"""


def each(n, text, between=""):
    """The text n times, with the number of each in place of `{i}`, and the next in place of `{j}`."""
    return between.join(text.format(i=i, j=i + 1) for i in range(n))


def listed(n, text):
    return each(n, text, ", ")


def inits(n, text):
    """Statements of an `__init__`."""
    return each(n, text, "\n        ")


FORWARD = "    def forward(self, x):\n        return x\n"
SETS = "    def __init__(self, x, dropout=.1):\n        self.x = x\n        self.y = x\n"
MODEL = "class M(nn.Module):\n    def forward(self, x):\n"
MODULES = "def f(model):\n    for m in model.modules():\n"
C0 = "class C0(nn.Module):\n    def forward(self, x):\n        return F.dropout(x, .1)\n"


def cls(body, init="self.p = 0.1"):
    start = "class N(nn.Module):\n    def __init__(self):\n        super().__init__()\n        "
    return f"{start}{init}\n{body}"


def fwd(lines, args="x"):
    body = "".join(f"        {line}\n" for line in lines)
    return cls(f"    def forward(self, {args}):\n{body}        return x\n")


def fwds(n, *lines, args="x"):
    """A `forward` with these lines n times."""
    return fwd([line.format(i=i, j=i + 1) for i in range(n) for line in lines], args)


def function(parameters, n, body, end=""):
    """A function with these lines n times."""
    return f"def f({parameters}):\n{each(n, body)}{end}"


def calls_next(n):
    return each(n, "def f{i}(x):\n    return f{j}(x)\n")


def checkpoint_of(n):
    end = "x = checkpoint(f0, x, preserve_rng_state=False)\n"
    return f"def f{n}(x):\n    return F.dropout(x)\n{end}"


def chain(n, first):
    return [f"p0 = {first}", *(f"p{i + 1} = p{i}" for i in range(n))]


def called(n, body):
    return f"def h(x, p):\n{body * n}    return x\n{MODEL}" + "        x = h(x, .1)\n" * n


def evaluates(n):
    return function(listed(n, "m{i}"), n, "    m{i}.eval()\n    x = m{i}(x)\n")


def list_grows_in_loops(n):
    loops = "".join(f"{' ' * (i + 1)}for x{i} in y:\n" for i in range(20))
    inside = f"{' ' * 21}l.reverse()\n"
    return f"def f(l, y):\n{loops}{inside * n} return nn.Sequential(*l)\nnn.Dropout(.1)\n"


def returned_after_loops(n):
    loops = ["    " * i + f"for a{i} in x:" for i in range(10)]
    return fwd([*loops, *["    " * 10 + "x = F.dropout(self.fc(x)[0], .1, self.training)"] * n])


def loops_over_modules(n):
    loop = "for m in self.modules()"
    body = f"        [m.x {loop} {loop}]\n        for m in self.modules():\n            m.y\n"
    gens = " ".join(f"for m in self.modules() for m{i} in self.modules()" for i in range(n))
    end = "    def forward(self, x): return x\n"
    return cls(
        f"    def f(self):\n{body * n}        [m.x {gens}]\n{end}", "self.d = nn.Dropout(.1)"
    )


def layers_around(n):
    forward = "    def forward(self, x): return self.l(x)\n"
    start = "class C{}(nn.Module):\n    def __init__(self): self.l = {}()\n" + forward
    classes = "".join(start.format(i, f"C{i + 1}") for i in range(n))
    last = start.format(n, "C").replace("C()", "nn.Dropout(.1)")
    return f"{classes}{last}l = C0()\n" + "x = l(x)\n" * n


SHAPES = {
    "list_grows_in_loops": list_grows_in_loops,
    "dicts_of_options": lambda n: (
        f"o = dict({listed(n, 'k{i}=1')}, dropout=.1)\n" + "nn.LSTM(1, 1, **o)\n" * n
    ),
    "returned_after_loops": returned_after_loops,
    "lists_in_one": lambda n: (
        each(n, "l{i} = []\nl{i}.append(nn.Dropout(.1))\n")
        + f"net = nn.Sequential({listed(n, '*l{i}')})\n"
    ),
    "masks": lambda n: fwds(
        n,
        "if a{i}: x = x * (torch.rand_like(x) > self.drop_prob) / self.drop_prob",
        args=f"x, {listed(n, 'a{i}=False')}",
    ),
    "masks_tested": lambda n: fwd(
        [f"if {each(n, 'a{i} > 0', ' and ')}:"]
        + ["    x = x * torch.bernoulli(self.drop_prob)"] * n,
        f"x, {listed(n, 'a{i}')}",
    ),
    "masks_called": lambda n: (
        f"def drop_path(x, {listed(n, 'a{i}=0')}, p=.1, training=True):\n    return x if training else x\n"
        + MODEL
        + "        x = drop_path(x, p=self.p)\n" * n
    ),
    "rates_unused": lambda n: (
        f"class M(nn.Module):\n    def __init__(self, x, {listed(n, 'drop_{i}=.1')}):\n"
        + "        self.x = x  # nothing\n" * n
    ),
    "rates_unused_in_bases": lambda n: (
        f"class C0(nn.Module):\n{SETS}" + each(n, f"class C{{j}}(C{{i}}):\n{SETS}")
    ),
    "attributes_called": lambda n: (
        "class B(Elsewhere):\n"
        + each(n, "    def m{i}(self, x): return x\n")
        + "    def forward(self, x):\n"
        + each(n, "        self.m{i}(x)\n")
        + each(n, "class C{i}(B):\n    def __init__(self):\n        self.d = nn.Dropout(.1)\n")
    ),
    "loops_over_modules": loops_over_modules,
    "layers_around": layers_around,
    "rnns_by_default": lambda n: function(
        listed(n, "n{i}=1"),
        n,
        "    nn.LSTM(8, 8, n{i}, dropout=.5)\n    nn.LSTM(8, 8, n0, dropout=.5)\n",
    ),
    # Each of five names has n / 5 values, all of which are the next name.
    "layers_of_many_values": lambda n: fwd(
        ["n5 = 1"]
        + [f"if x: n{i} = n{i + 1}" for i in range(5) for _ in range(n // 5)]
        + ["self.l = nn.LSTM(8, 8, n0, dropout=.5)"]
    ),
    "constructors_alike": lambda n: each(
        n,
        "class C{i}(nn.Module):\n    def __init__(self, a, b, drop=.1, attn_drop=.1):\n        self.d = nn.Dropout(drop)\n",
    ),
    "modules_as_rates": lambda n: cls(
        "        self.d = nn.Dropout(.1)\n        self.r = nn.GRU(8, 8, 2, dropout=self.d)\n" * n
        + "    def forward(self, x): return F.dropout(self.r(x), self.d)\n"
    ),
    "modules_as_rates_in_subclasses": lambda n: (
        cls("    def forward(self, x): return F.dropout(x, self.d)\n", "self.d = nn.Dropout(.1)")
        + each(
            n,
            "class C{i}(N):\n    def f(self, x):\n        self.d = nn.Dropout(.1)\n        return F.dropout(x, self.d)\n",
        )
    ),
    "names_with_ends": lambda n: cls(
        each(n, "        setattr(self, 'a' + str({i}) + '_b{i}', nn.Dropout(.1))\n")
        + "    def forward(self, x):\n"
        + each(n, "        x = getattr(self, 'a' + str(x) + '_b{i}')(x)\n")
    ),
    "calls_next": lambda n: calls_next(n) + f"def f{n}(x):\n    return F.dropout(x, .1)\n",
    "calls_prev": lambda n: (
        "def f0(x):\n    return F.dropout(x, .1)\n" + each(n, "def f{j}(x):\n    return f{i}(x)\n")
    ),
    "calls_next_arg": lambda n: (
        each(n, "def f{i}(x, p):\n    return f{j}(x, p)\n")
        + f"def f{n}(x, p):\n    return F.scaled_dot_product_attention(x, x, x, dropout_p=p)\n"
    ),
    "methods_next": lambda n: cls(
        each(n, "    def f{i}(self, x, p):\n        return self.f{j}(x, p)\n")
        + f"    def f{n}(self, x, p):\n        return F.dropout(x, p)\n    def forward(self, x):\n        return self.f0(x, .1)\n"
    ),
    "if_dropout": lambda n: fwds(n, "if self.a: x = F.dropout(x, .1)"),
    "plain_dropout": lambda n: fwds(n, "x = F.dropout(x, .1)"),
    "built_in_forward": lambda n: fwds(n, "x = nn.Dropout(.1)(x)"),
    "built_named": lambda n: fwds(n, "d{i} = nn.Dropout(.1)", "x = d{i}(x)"),
    "built_same": lambda n: fwds(n, "d = nn.Dropout(.1)", "x = d(x)"),
    "built_self": lambda n: fwds(n, "self.d{i} = nn.Dropout(.1)", "x = self.d{i}(x)"),
    "sdpa": lambda n: fwds(n, "x = F.scaled_dot_product_attention(x, x, x, dropout_p=self.p)"),
    "sdpa_local": lambda n: fwds(
        n, "p = self.p", "x = F.scaled_dot_product_attention(x, x, x, dropout_p=p)"
    ),
    "cond_p": lambda n: fwd(["p = p if x is None else p"] * n + ["x = F.dropout(x, p)"], "x, p"),
    "cond_many": lambda n: fwds(n, "p = p if x is None else p", "x = F.dropout(x, p)", args="x, p"),
    "chain_names": lambda n: fwd([*chain(n, "self.q"), f"x = F.dropout(x, p{n})"]),
    "chain_attrs": lambda n: cls(
        "    def forward(self, x):\n"
        + each(n, "        self.p{i} = self.p{j}\n")
        + "        return F.dropout(x, self.p0)\n"
    ),
    "classes_chained": lambda n: C0 + each(n, "class C{j}(C{i}):\n    pass\n"),
    "classes_chained_full": lambda n: (
        C0
        + each(
            n,
            "class C{j}(C{i}):\n    def __init__(self):\n        self.d{i} = nn.Dropout(.1)\n        self.l{i} = [nn.Dropout(.1)]\n        self.drop_p = 0.1\n    def train(self):\n        super().train()\n    def g{i}(self, x):\n        self.drop_p = 0\n        return F.dropout(self.f(self.zz(x)), self.qq)\n",
        )
    ),
    "classes_flat": lambda n: each(
        n,
        "class C{i}(nn.Module):\n    def __init__(self):\n        self.d = nn.Dropout(.1)\n        self.l = [nn.Dropout(.1)]\n    def forward(self, x):\n        if not self.training:\n            self.drop_p = 0\n        return F.dropout(x, self.drop_p)\n",
    ),
    "classes_many_bases": lambda n: (
        each(n, "class C{i}(nn.Module):\n    pass\n")
        + f"class D({listed(n, 'C{i}')}):\n    def forward(self, x):\n        return F.dropout(self.a(x), self.b)\n"
    ),
    "funcs_same_name": lambda n: "def f(x):\n    return F.dropout(f(x), .1)\n" * n,
    "methods_same_name": lambda n: cls(
        "    def forward(self, x):\n        return F.dropout(self.forward(x), self.p)\n" * n
    ),
    "elifs_training": lambda n: fwd(
        ["if x == 0: x = F.dropout(x, .1)"]
        + [f"elif x == {i}: x = F.dropout(x, self.a)" for i in range(n)]
        + ["elif self.training: pass"]
    ),
    "binop": lambda n: fwd([f"x = F.dropout(x, {each(n, 'a', '+')})"]),
    "boolop": lambda n: fwd([f"x = {each(n, 'F.dropout(x, .1)', ' and ')}"]),
    "one_line_unicode": lambda n: fwd([f"'é'; {each(n, 'x = F.dropout(x, .1)', '; ')}"]),
    "sequential_long": lambda n: f"s = nn.Sequential({listed(n, 'nn.Dropout(.1)')})\n",
    "sequential_applied": lambda n: cls(
        "    def forward(self, x):\n" + "        x = self.s(x)\n" * n + "        return x\n",
        f"self.s = nn.Sequential({listed(n, 'nn.Linear(8, 8), nn.Dropout(.1)')})",
    ),
    # n Sequentials of n layers are n * n layers, which the budget of the file bounds.
    "sequential_star": lambda n: (
        "l = [" + "nn.Dropout(.1), " * 30 + "]\n" + "s = nn.Sequential(*l)\n" * n
    ),
    "relu_dropout": lambda n: fwd(
        ["x = F.dropout(x, .1)"] + ["x = F.relu(x)", "x = F.batch_norm(x)"] * n
    ),
    "inplace_many": lambda n: (
        f"s = nn.Sequential({listed(n, 'nn.ReLU(), nn.Dropout(.1, inplace=True)')})\n"
    ),
    "evals": lambda n: (
        "def f(model, opt, loader):\n    model.train()\n    for x in loader:\n        loss = model(x)\n        loss.backward()\n        opt.step()\n"
        + "        model.eval()\n" * n
    ),
    "evals_many": lambda n: (
        "def f(model, opt, loader):\n    for x in loader:\n        loss = m(x)\n        loss.backward()\n        opt.step()\n"
        + each(n, "        m{i}.eval()\n")
        + each(n, "        m{i}(x)\n")
    ),
    "evals_loops": lambda n: (
        "def g(m):\n    m.eval()\n"
        + each(
            n,
            "def f{i}(m{i}, opt, loader):\n    for x in loader:\n        m{i}(x).backward()\n        g(m{i})\n",
        )
    ),
    "eval_calls_next": lambda n: (
        each(n, "def f{i}(m):\n    f{j}(m)\n")
        + f"def f{n}(m):\n    m.eval()\ndef t(m, l):\n  m.train()\n  for x in l:\n    m(x).backward()\n    f0(m)\n"
    ),
    "with_raises": lambda n: "with pytest.raises(E):\n" + "    nn.Dropout(2)\n" * n,
    "returns_early": lambda n: fwds(n, "if x is None: return x", "x = F.dropout(x, .1)"),
    "asserts": lambda n: fwds(n, "assert x", "x = F.dropout(x, .1)"),
    "comprehensions": lambda n: fwds(n, "x = [F.dropout(y, .1) for y in x if y]"),
    "nonlocals_unbound": lambda n: (
        "def o():\n"
        + each(n, "    def f{i}():\n        nonlocal x{i}\n        x{i} = F.dropout(x{i})\n")
    ),
    "star_imports": lambda n: (
        each(n, "from m{i} import *\n") + each(n, "y{i}(x{i})\n") + "F.dropout(x)\n"
    ),
    "imports_same": lambda n: "from m import a\n" * n + "a(F.dropout(x))\n" * n,
    "noqa_same_line": lambda n: (
        "x = F.dropout(x, 2)  " + "# torchdropout: ignore[p-one] " * n + "\n"
    ),
    "noqa_lines": lambda n: "nn.Dropout(2)  # torchdropout: ignore[p-one]\n" * n,
    "noqa_file": lambda n: "# torchdropout: ignore-file[p-one]\n" * n + "nn.Dropout(2)\n" * n,
    "noqa_open": lambda n: "nn.Dropout(2)  # torchdropout: ignore[" * n + "\n",
    "never_used": lambda n: cls(FORWARD, inits(n, "self.d{i} = nn.Dropout(.1)")),
    "plain_lists": lambda n: cls(
        FORWARD.replace("return", "for i in self.l0: x = i(x)\n        return"),
        inits(n, "self.l{i} = [nn.Dropout(.1)]"),
    ),
    "plain_list_appends": lambda n: cls(
        FORWARD.replace("return", "for i in self.l: x = i(x)\n        return"),
        "self.l = []\n        " + inits(n, "self.l.append(nn.Dropout(.1))"),
    ),
    "plain_list_names": lambda n: cls(
        FORWARD,
        f"{inits(n, 'd{i} = nn.Dropout(.1)')}\n        self.l = [{listed(n, 'd{i}')}]",
    ),
    "plain_list_reassigned": lambda n: cls(FORWARD, inits(n, "self.l = [nn.Dropout(.1)]")),
    "zeroed": lambda n: cls(
        "    def forward(self, x):\n"
        + each(n, "        if not self.training: self.drop_{i} = 0\n")
        + "        return x\n"
    ),
    "zeroed_same": lambda n: fwds(n, "if not self.training: self.drop = 0"),
    "results_unused": lambda n: fwds(n, "F.dropout(x, .1, self.training)"),
    "results_unused_self": lambda n: cls(
        "    def forward(self, x):\n" + "        self.d(x)\n" * n + "        return x\n",
        "self.d = nn.Dropout(.1)",
    ),
    "self_assigned_n": lambda n: cls(
        "    def forward(self, x):\n"
        + "        x = F.dropout(self.d(x), self.p)\n" * n
        + "        return x\n",
        inits(n, "self.d = nn.Dropout(.1)\n        self.p = self.q"),
    ),
    "checkpoints": lambda n: (
        fwds(n, "x = checkpoint(self.f, x, preserve_rng_state=False)")
        + "    def f(self, x):\n"
        + "        x = F.dropout(x)\n" * n
    ),
    "checkpoint_chain": lambda n: calls_next(n) + checkpoint_of(n),
    "checkpoint_fan": lambda n: (
        each(n, "def f{i}(x):\n    return f{j}(f{j}(x))\n") + checkpoint_of(n)
    ),
    "checkpoint_classes": lambda n: (
        each(
            n,
            "class C{i}(nn.Module):\n    def __init__(self):\n        self.a = C{j}()\n        self.b = C{j}()\n",
        )
        + f"class C{n}(nn.Module):\n    def __init__(self):\n        self.d = nn.Dropout(.1)\nm = C0()\nx = checkpoint(m, x, preserve_rng_state=False)\n"
    ),
    "mc": lambda n: MODULES + "        if type(m) == nn.Dropout: m.train()\n" * n,
    "mc_continue": lambda n: MODULES + "        if not x: continue\n        m.train()\n" * n,
    "mc_many_trains": lambda n: (
        f"{MODULES}        if {each(n, 'isinstance(m, nn.Dropout)', ' and ')}:\n"
        + "            m.train()\n" * n
    ),
    "p_params": lambda n: function(listed(n, "p{i}=.1"), n, "    F.dropout(x, p{i})\n"),
    "p_params_called": lambda n: (
        f"def f(x, {listed(n, 'p{i}=.1')}):\n    return F.dropout(x, p1)\n{MODEL}"
        + "        x = f(x, 1)\n" * n
    ),
    "called_by_many": lambda n: called(n, "    x = F.dropout(x, p)\n"),
    "called_rate": lambda n: called(n, "    x = nn.Dropout(p)(x)\n"),
    "holders": lambda n: (
        "def o(x):\n"
        + each(n, "    def f{i}(x): return nn.Dropout(.1)(x)\n")
        + each(n, "    run(f{i})\n")
    ),
    "keep": lambda n: "nn.Dropout(keep_prob)\n" * n + "keep_prob = 1 - x\n" * n,
    "flags": lambda n: function(listed(n, "a{i}=False"), n, "    if a{i}: x = F.dropout(x, .1)\n"),
    "if_and_flags": lambda n: (
        f"def f({listed(n, 'a{i}')}):\n    if {each(n, 'b{i}', ' and ')}:\n"
        + "        x = F.dropout(x, .1)\n" * n
    ),
    "properties": lambda n: cls(
        each(n, "    @property\n    def q{i}(self): return self.q{j}\n")
        + "    def forward(self, x):\n        return F.dropout(x, self.q0)\n"
    ),
    "train_overridden": lambda n: each(
        n,
        "class C{i}(nn.Module):\n    def train(self, mode=True):\n        super().train()\n    def forward(self, x): return F.dropout(x)\n",
    ),
    "train_same": lambda n: (
        "class C(nn.Module):\n"
        + "    def train(self, mode=True):\n        super().train()\n" * n
        + "    def forward(self, x): return F.dropout(x)\n"
    ),
    "alias_many": lambda n: "a = F.dropout\n" * n + "a(x)\n" * n,
    "p_zero_set": lambda n: "nn.Dropout(0.0)\n" * n,
    "evals_frozen": lambda n: (
        "def f(m, opt, loader):\n"
        + "    for p in m.parameters(): p.requires_grad = False\n" * n
        + each(
            n,
            "    for x in loader:\n        m(x).backward()\n        m.eval()\n        m{i}.eval()\n",
        )
    ),
    "evals_moved": lambda n: (
        "def f(loader):\n    x.requires_grad_()\n    for x in loader:\n        m(x).backward()\n"
        + each(n, "        m{i}.eval()\n        m{i}(x)\n")
    ),
    "helpers_many_models": lambda n: evaluates(n) + "    return m0\n",
    "helpers_called": lambda n: evaluates(n) + "def g(x):\n" + "    f(x)\n" * n,
    "factories": lambda n: cls(
        "    def make(self):\n"
        + "        if self.a: return nn.Dropout(.1)\n" * n
        + "    def forward(self, x):\n"
        + "        x = self.a(self.make())\n" * n
    ),
    "lambdas_kept": lambda n: each(
        n,
        "class C{i}(nn.Module):\n    def __init__(self):\n        self.f = lambda x: nn.Dropout(.1)(x)\n    def forward(self, x):\n        return self.f(x)\n",
    ),
    "nested_kept": lambda n: cls(
        FORWARD,
        "def f(x):\n"
        + "            x = nn.Dropout(.1)(x)\n" * n
        + "            return x\n"
        + "        f(x)\n" * n
        + "        self.f = f",
    ),
    "helper_builds": lambda n: function(
        "x", n, "    d = nn.Dropout(.1)\n    x = d(x)\n", "    return x\n"
    ),
    "lists_of_names": lambda n: cls(
        FORWARD.replace("return", "for d in self.l0: x = d(x)\n        return"),
        "l = [nn.Dropout(.1)]\n        " + inits(n, "self.l{i} = l"),
    ),
    "list_grows": lambda n: (
        "def f(a):\n    l = []\n"
        + "    l.append(nn.ReLU())\n    if a: l.append(nn.Dropout(.1, inplace=True))\n" * n
        + "    return nn.Sequential(*l)\n"
    ),
    "list_grows_often": lambda n: (
        "def f(a):\n"
        + "    l = [nn.ReLU()]\n    l += [nn.Dropout(.1, inplace=True)]\n" * n
        + "    return l\n"
        + "x = nn.Sequential(*f(1))\n" * n
    ),
    "eval_of_text": lambda n: fwds(n, "x = F.dropout(x, eval(self.p) + ast.literal_eval(self.q))"),
    "layers_by_callers": lambda n: (
        "class M(nn.Module):\n    def __init__(self, n, p=.1):\n        self.n = n\n"
        + "        self.a = nn.LSTM(1, 1, self.n, dropout=p)\n" * n
        + "M(1)\n" * n
    ),
    "names_of_loops": lambda n: fwd(
        ["for x in y:", *["    x = F.dropout(x, .1, self.training)"] * n]
    ),
    "masks_by_index": lambda n: fwd(
        ["m = torch.rand(3) > self.drop_prob", *["x[m] = 0", "x = torch.where(m, x, 0)"] * n]
    ),
    "eval_in_branches": lambda n: (
        "def f(m, o):\n  for x in y:\n    m(x).backward()\n    m.eval()\n    if x: m(x)\n"
        + "    elif x: m(x)\n" * n
    ),
    "masks_rates": lambda n: fwd(
        [*chain(n, "self.drop_prob"), *[f"x = x * (torch.rand_like(x) > p{n})"] * n]
    ),
    "star_names": lambda n: "from helper import *\n" + "x = nn.Dropout(.1)\nx = F.dropout(x)\n" * n,
    "partials": lambda n: fwd(
        [
            f"self.a{i} = functools.partial(F.scaled_dot_product_attention, dropout_p=self.p)"
            for i in range(n)
        ]
        + [f"x = self.a{i}(x, x, x, is_causal=True)" for i in range(n)]
    ),
    "shapes_between": lambda n: fwds(
        n, "x = F.dropout(x.view(8, 8).transpose(0, 1), .1, self.training)"
    ),
    "decorated": lambda n: (
        "@torch.no_grad()\n" * n + function("x, dropout=.1", n, "    x = x + 1\n")
    ),
    "wrong_arguments": lambda n: fwds(n, "x = F.dropout(x, rate=.1)"),
    "lists_of_one": lambda n: fwds(n, "y = [x]", "x = F.dropout(y[-1], self.p)", "y.append(x)"),
}


def source(name, n):
    return SHAPES[name](n) if name == "star_names" else HEAD + SHAPES[name](n)


def work(text):
    """How many functions are called while a source is audited: it does not depend on the load."""
    with cProfile.Profile() as profile:
        found = audit_text(text)
        suppress(found, text)
    assert not any(f.name == "syntax-error" for f in found)
    return sum(function.callcount for function in profile.getstats())


@pytest.mark.integration
@pytest.mark.parametrize("name", SHAPES)
def test_four_times_as_long_is_four_times_as_much_work(name):
    make = partial(source, name)
    long, short = work(make(120)), work(make(30))
    if long > 4.75 * short:  # the first has made what is kept between sources
        long = work(make(120))
    if long > 4.75 * short:  # one that has not come to its limits yet
        assert work(make(240)) < 5.5 * work(make(60))


@pytest.mark.integration
def test_what_is_said_of_a_long_source_is_what_is_said_of_a_short_one():
    names = Counter(f.name for f in audit_text(source("if_dropout", 1_000)))
    assert names == {"functional-always-on": 1_000, "double-dropout": 1}
    text = source("cond_p", 1_000).replace("return x", "return F.dropout(x, 0.1)")
    assert [f.name for f in audit_text(text)] == ["functional-always-on", "double-dropout"]
    [found] = audit_text(source("methods_next", 1_000))
    assert (found.name, found.severity) == ("functional-always-on", "error")
    chained = source("classes_chained", 5_000)
    last = "class D(C5000):\n    def g(self, x):\n        return F.dropout(x, .1)\n"
    assert [f.severity for f in audit_text(chained + last)] == ["error", "error"]


@pytest.mark.integration
def test_a_test_of_training_is_followed_however_far():
    text = source("calls_next", 2_000).replace("F.dropout(x, .1)", "self.training")
    text += "class M(nn.Module):\n    def forward(self, x):\n        if f0(x):\n            F.dropout(x)\n"
    assert [f.name for f in audit_text(text)] == ["result-unused"]


# --- Facts --------------------------------------------------------------------------------------


def least(graph, true):
    """The facts that hold, computed from below."""
    held = set(true)
    while True:
        new = {
            each
            for each, (decide, needed) in graph.items()
            if each not in held and needed and decide(n in held for n in needed)
        }
        if not new:
            return held
        held |= new


def test_facts_are_the_least_solution():
    # One in 600 of these graphs shows what a circle that was left rests on, if it is read wrongly.
    draw = random.Random(0)
    for _ in range(6_000):
        count = draw.randint(1, 12)
        places = range(count)
        graph = {
            i: (draw.choice([any, any, all]), draw.choices(places, k=draw.randint(0, 4)))
            for i in places
        }
        true = {i for i in places if draw.random() < 0.15}

        def steps(fact, graph=graph, true=true):
            decide, needed = graph[fact]
            if fact in true:
                return True
            for each in needed:
                holds = yield each
                if holds is (decide is any):
                    return holds
            return decide is all and bool(needed)

        facts = Facts(steps)
        order = draw.sample(places, count)
        held = least(graph, true)
        assert [facts.holds(i) for i in order] == [i in held for i in order]


# --- A limit, and faults of one rule ------------------------------------------------------------


BAD = "import torch.nn as nn\nnn.Dropout(7)\n"
needs_timer = pytest.mark.skipif(sys.platform == "win32", reason="it has no such timer")


@needs_timer
@pytest.mark.integration
def test_a_file_that_takes_too_long_is_said_and_the_others_are_audited(folder, monkeypatch):
    audit_rules = run_module.audit_rules

    def audit(text, path, *rest):
        while path == "b.py":
            pass
        return audit_rules(text, path, *rest)

    monkeypatch.setattr(run_module, "audit_rules", audit)
    monkeypatch.setattr(run_module, "MOST_SECONDS", 0.2)
    for name in "abc":
        Path(f"{name}.py").write_text(BAD)
    for _ in range(2):  # not remembered as a file without findings
        report = audit_paths(["."])
        assert [f.path for f in report.findings] == ["a.py", "c.py"]
        assert report.problems == ("b.py: not audited: it takes more than 0.2 s of the processor",)
    report, _ = audit_data(BAD.encode(), "b.py")
    assert len(report.problems) == 1


def test_a_rule_that_fails_costs_its_findings_and_no_others(folder, monkeypatch):
    finders = dict(FINDERS)
    finder = finders["p-one"]

    def fail(code):
        raise RecursionError("maximum recursion depth exceeded")
        yield

    finders["p-one"] = type(finder)(finder.rule, fail)
    monkeypatch.setattr("torchdropout_audit.source.FINDERS", finders)
    Path("a.py").write_text(BAD)
    for _ in range(2):
        report = audit_paths(["."])
        assert [f.name for f in report.findings] == ["p-out-of-range"]
        said = "p-one was not applied: RecursionError: maximum recursion depth exceeded"
        assert report.problems == (f"a.py: {said}",)
    with pytest.raises(RecursionError):
        audit_text(BAD)


# --- Patterns, folders, files -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 40 + "*b", "a" * 200),
        ("**/a/" * 40 + "b", "a/" * 200 + "c"),
        ("*a*/" * 20 + "b", "aaaaaaaa/" * 100 + "c"),
        ("[ab]*" * 40 + "c", "ab" * 100),
        ("?*" * 40 + "c", "ab" * 100),
        ("[" * 9_000, "a"),
        ("a" + " " * 9_000 + "b", "a"),
        ("*a" * 100_000, "a"),
    ],
)
def test_a_pattern_is_matched_without_trying_all_ways(folder, pattern, path):
    with within(20):  # the first of these took longer than anyone waits
        assert not Patterns(folder, [pattern])(path)


def test_many_stars_still_match(folder):
    assert Patterns(folder, ["*a" * 40 + "*b"])("a" * 60 + "b")
    assert Patterns(folder, ["*a/**/b*c/**"])("xa/1/2/b-c/b-c/d")
    assert not Patterns(folder, ["*a/**/b*c/**"])("xa/1/2/b-c")
    assert not Patterns(folder, ["a*b"])("a/b")


def test_folders_may_be_nested_deeper_than_calls(folder):
    deep = folder
    for _ in range(400):
        deep = deep / "d"
        deep.mkdir()
    (deep / "a.py").write_text(BAD)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        files, problems = find_files(["."])
    finally:
        sys.setrecursionlimit(limit)
    assert (len(files), problems) == (1, [])
