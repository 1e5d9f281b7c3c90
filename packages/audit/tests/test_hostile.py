"""Sources that are made to take long, or to overflow the stack: none takes more than its share."""

# ruff: noqa: E501, E741
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
SHAPES = {}


def shape(make):
    SHAPES[make.__name__] = make
    return make


def each(n, text):
    """The text n times, with the number of each in place of `{i}`, and the next in place of `{j}`."""
    return "".join(text.format(i=i, j=i + 1) for i in range(n))


def cls(body, init="self.p = 0.1"):
    start = "class N(nn.Module):\n    def __init__(self):\n        super().__init__()\n        "
    return f"{start}{init}\n{body}"


def fwd(lines, args="x"):
    body = "".join(f"        {line}\n" for line in lines)
    return cls(f"    def forward(self, {args}):\n{body}        return x\n")


@shape
def list_grows_in_loops(n):
    loops = "".join(f"{' ' * (i + 1)}for x{i} in y:\n" for i in range(20))
    inside = f"{' ' * 21}l.reverse()\n"
    return f"def f(l, y):\n{loops}{inside * n} return nn.Sequential(*l)\nnn.Dropout(.1)\n"


@shape
def dicts_of_options(n):
    options = ", ".join(f"k{i}=1" for i in range(n))
    return f"o = dict({options}, dropout=.1)\n" + "nn.LSTM(1, 1, **o)\n" * n


@shape
def returned_after_loops(n):
    loops = ["    " * i + f"for a{i} in x:" for i in range(10)]
    return fwd([*loops, *["    " * 10 + "x = F.dropout(self.fc(x)[0], .1, self.training)"] * n])


@shape
def lists_in_one(n):
    lists = each(n, "l{i} = []\nl{i}.append(nn.Dropout(.1))\n")
    return f"{lists}net = nn.Sequential({', '.join(f'*l{i}' for i in range(n))})\n"


@shape
def masks(n):
    flags = ", ".join(f"a{i}=False" for i in range(n))
    mask = "x * (torch.rand_like(x) > self.drop_prob) / self.drop_prob"
    return fwd([f"if a{i}: x = {mask}" for i in range(n)], f"x, {flags}")


@shape
def masks_tested(n):
    flags = ", ".join(f"a{i}" for i in range(n))
    test = " and ".join(f"a{i} > 0" for i in range(n))
    mask = "    x = x * torch.bernoulli(self.drop_prob)"
    return fwd([f"if {test}:"] + [mask] * n, f"x, {flags}")


@shape
def masks_called(n):
    rest = ", ".join(f"a{i}=0" for i in range(n))
    return (
        f"def drop_path(x, {rest}, p=.1, training=True):\n    return x if training else x\n"
        + "class M(nn.Module):\n    def forward(self, x):\n"
        + "        x = drop_path(x, p=self.p)\n" * n
    )


@shape
def rates_unused(n):
    rates = ", ".join(f"drop_{i}=.1" for i in range(n))
    body = "        self.x = x  # nothing\n" * n
    return f"class M(nn.Module):\n    def __init__(self, x, {rates}):\n{body}"


@shape
def rates_unused_in_bases(n):
    method = "    def __init__(self, x, dropout=.1):\n        self.x = x\n        self.y = x\n"
    return f"class C0(nn.Module):\n{method}" + "".join(
        f"class C{i + 1}(C{i}):\n{method}" for i in range(n)
    )


@shape
def attributes_called(n):
    calls = each(n, "        self.m{i}(x)\n")
    methods = each(n, "    def m{i}(self, x): return x\n")
    base = f"class B(Elsewhere):\n{methods}    def forward(self, x):\n{calls}"
    body = "    def __init__(self):\n        self.d = nn.Dropout(.1)\n"
    return base + "".join(f"class C{i}(B):\n{body}" for i in range(n))


@shape
def loops_over_modules(n):
    loop = "for m in self.modules()"
    body = f"        [m.x {loop} {loop}]\n        for m in self.modules():\n            m.y\n"
    gens = " ".join(f"for m in self.modules() for m{i} in self.modules()" for i in range(n))
    init = "self.d = nn.Dropout(.1)"
    return cls(
        f"    def f(self):\n{body * n}        [m.x {gens}]\n"
        + "    def forward(self, x): return x\n",
        init,
    )


@shape
def layers_around(n):
    forward = "    def forward(self, x): return self.l(x)\n"
    return (
        "".join(
            f"class C{i}(nn.Module):\n    def __init__(self): self.l = C{i + 1}()\n{forward}"
            for i in range(n)
        )
        + f"class C{n}(nn.Module):\n    def __init__(self): self.l = nn.Dropout(.1)\n{forward}"
        + "l = C0()\n"
        + "x = l(x)\n" * n
    )


@shape
def rnns_by_default(n):
    names = ", ".join(f"n{i}=1" for i in range(n))
    return f"def f({names}):\n" + each(
        n, "    nn.LSTM(8, 8, n{i}, dropout=.5)\n    nn.LSTM(8, 8, n0, dropout=.5)\n"
    )


@shape
def layers_of_many_values(n):
    """Each of five names has n / 5 values, all of which are the next name."""
    lines = [f"if x: n{i} = n{i + 1}" for i in range(5) for _ in range(n // 5)]
    return fwd(["n5 = 1", *lines, "self.l = nn.LSTM(8, 8, n0, dropout=.5)"])


@shape
def constructors_alike(n):
    body = "        self.d = nn.Dropout(drop)\n"
    return "".join(
        f"class C{i}(nn.Module):\n    def __init__(self, a, b, drop=.1, attn_drop=.1):\n{body}"
        for i in range(n)
    )


@shape
def modules_as_rates(n):
    given = "        self.d = nn.Dropout(.1)\n        self.r = nn.GRU(8, 8, 2, dropout=self.d)\n"
    return cls(f"{given * n}    def forward(self, x): return F.dropout(self.r(x), self.d)\n")


@shape
def modules_as_rates_in_subclasses(n):
    base = cls("    def forward(self, x): return F.dropout(x, self.d)\n", "self.d = nn.Dropout(.1)")
    return base + each(
        n,
        "class C{i}(N):\n    def f(self, x):\n        self.d = nn.Dropout(.1)\n"
        "        return F.dropout(x, self.d)\n",
    )


@shape
def names_with_ends(n):
    given = [f"setattr(self, 'a' + str({i}) + '_b{i}', nn.Dropout(.1))" for i in range(n)]
    used = [f"x = getattr(self, 'a' + str(x) + '_b{i}')(x)" for i in range(n)]
    body = "".join(f"        {line}\n" for line in given)
    return cls(f"{body}    def forward(self, x):\n" + "".join(f"        {u}\n" for u in used))


SHAPES |= {
    "calls_next": lambda n: (
        each(n, "def f{i}(x):\n    return f{j}(x)\n")
        + f"def f{n}(x):\n    return F.dropout(x, .1)\n"
    ),
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
    "if_dropout": lambda n: fwd(["if self.a: x = F.dropout(x, .1)"] * n),
    "plain_dropout": lambda n: fwd(["x = F.dropout(x, .1)"] * n),
    "built_in_forward": lambda n: fwd(["x = nn.Dropout(.1)(x)"] * n),
    "built_named": lambda n: fwd(
        [l for i in range(n) for l in (f"d{i} = nn.Dropout(.1)", f"x = d{i}(x)")]
    ),
    "built_same": lambda n: fwd(["d = nn.Dropout(.1)", "x = d(x)"] * n),
    "built_self": lambda n: fwd(
        [l for i in range(n) for l in (f"self.d{i} = nn.Dropout(.1)", f"x = self.d{i}(x)")]
    ),
    "sdpa": lambda n: fwd(["x = F.scaled_dot_product_attention(x, x, x, dropout_p=self.p)"] * n),
    "sdpa_local": lambda n: fwd(
        [
            l
            for i in range(n)
            for l in ("p = self.p", "x = F.scaled_dot_product_attention(x, x, x, dropout_p=p)")
        ]
    ),
    "cond_p": lambda n: fwd(["p = p if x is None else p"] * n + ["x = F.dropout(x, p)"], "x, p"),
    "cond_many": lambda n: fwd(["p = p if x is None else p", "x = F.dropout(x, p)"] * n, "x, p"),
    "chain_names": lambda n: fwd(
        ["p0 = self.q"] + [f"p{i + 1} = p{i}" for i in range(n)] + [f"x = F.dropout(x, p{n})"]
    ),
    "chain_attrs": lambda n: cls(
        "    def forward(self, x):\n"
        + each(n, "        self.p{i} = self.p{j}\n")
        + "        return F.dropout(x, self.p0)\n"
    ),
    "classes_chained": lambda n: (
        "class C0(nn.Module):\n    def forward(self, x):\n        return F.dropout(x, .1)\n"
        + each(n, "class C{j}(C{i}):\n    pass\n")
    ),
    "classes_chained_full": lambda n: (
        "class C0(nn.Module):\n    def forward(self, x):\n        return F.dropout(x, .1)\n"
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
        + "class D("
        + ", ".join(f"C{i}" for i in range(n))
        + "):\n    def forward(self, x):\n        return F.dropout(self.a(x), self.b)\n"
    ),
    "funcs_same_name": lambda n: each(n, "def f(x):\n    return F.dropout(f(x), .1)\n"),
    "methods_same_name": lambda n: cls(
        each(n, "    def forward(self, x):\n        return F.dropout(self.forward(x), self.p)\n")
    ),
    "elifs_training": lambda n: fwd(
        ["if x == 0: x = F.dropout(x, .1)"]
        + [f"elif x == {i}: x = F.dropout(x, self.a)" for i in range(n)]
        + ["elif self.training: pass"]
    ),
    "binop": lambda n: fwd(["x = F.dropout(x, " + "+".join(["a"] * n) + ")"]),
    "boolop": lambda n: fwd(["x = " + " and ".join(["F.dropout(x, .1)"] * n)]),
    "one_line_unicode": lambda n: fwd(["'é'; " + "; ".join(["x = F.dropout(x, .1)"] * n)]),
    "sequential_long": lambda n: "s = nn.Sequential(" + ", ".join(["nn.Dropout(.1)"] * n) + ")\n",
    "sequential_applied": lambda n: cls(
        "    def forward(self, x):\n" + "        x = self.s(x)\n" * n + "        return x\n",
        "self.s = nn.Sequential(" + ", ".join(["nn.Linear(8, 8), nn.Dropout(.1)"] * n) + ")",
    ),
    # n Sequentials of n layers are n * n layers, which the budget of the file bounds.
    "sequential_star": lambda n: (
        "l = [" + "nn.Dropout(.1), " * 30 + "]\n" + "s = nn.Sequential(*l)\n" * n
    ),
    "relu_dropout": lambda n: fwd(
        ["x = F.dropout(x, .1)"] + ["x = F.relu(x)", "x = F.batch_norm(x)"] * n
    ),
    "inplace_many": lambda n: (
        "s = nn.Sequential(" + ", ".join(["nn.ReLU(), nn.Dropout(.1, inplace=True)"] * n) + ")\n"
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
    "returns_early": lambda n: fwd(["if x is None: return x", "x = F.dropout(x, .1)"] * n),
    "asserts": lambda n: fwd(["assert x", "x = F.dropout(x, .1)"] * n),
    "comprehensions": lambda n: fwd(["x = [F.dropout(y, .1) for y in x if y]"] * n),
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
    "never_used": lambda n: cls(
        "    def forward(self, x):\n        return x\n",
        "\n        ".join(f"self.d{i} = nn.Dropout(.1)" for i in range(n)),
    ),
    "plain_lists": lambda n: cls(
        "    def forward(self, x):\n        for i in self.l0: x = i(x)\n        return x\n",
        "\n        ".join(f"self.l{i} = [nn.Dropout(.1)]" for i in range(n)),
    ),
    "plain_list_appends": lambda n: cls(
        "    def forward(self, x):\n        for i in self.l: x = i(x)\n        return x\n",
        "self.l = []\n        "
        + "\n        ".join("self.l.append(nn.Dropout(.1))" for i in range(n)),
    ),
    "plain_list_names": lambda n: cls(
        "    def forward(self, x):\n        return x\n",
        "\n        ".join(f"d{i} = nn.Dropout(.1)" for i in range(n))
        + "\n        self.l = ["
        + ", ".join(f"d{i}" for i in range(n))
        + "]",
    ),
    "plain_list_reassigned": lambda n: cls(
        "    def forward(self, x):\n        return x\n",
        "\n        ".join(["self.l = [nn.Dropout(.1)]"] * n),
    ),
    "zeroed": lambda n: cls(
        "    def forward(self, x):\n"
        + each(n, "        if not self.training: self.drop_{i} = 0\n")
        + "        return x\n"
    ),
    "zeroed_same": lambda n: cls(
        "    def forward(self, x):\n"
        + each(n, "        if not self.training: self.drop = 0\n")
        + "        return x\n"
    ),
    "results_unused": lambda n: fwd(["F.dropout(x, .1, self.training)"] * n),
    "results_unused_self": lambda n: cls(
        "    def forward(self, x):\n" + "        self.d(x)\n" * n + "        return x\n",
        "self.d = nn.Dropout(.1)",
    ),
    "self_assigned_n": lambda n: cls(
        "    def forward(self, x):\n"
        + "        x = F.dropout(self.d(x), self.p)\n" * n
        + "        return x\n",
        "\n        ".join(["self.d = nn.Dropout(.1)", "self.p = self.q"] * n),
    ),
    "checkpoints": lambda n: cls(
        "    def forward(self, x):\n"
        + "        x = checkpoint(self.f, x, preserve_rng_state=False)\n" * n
        + "        return x\n    def f(self, x):\n"
        + "        x = F.dropout(x)\n" * n
    ),
    "checkpoint_chain": lambda n: (
        each(n, "def f{i}(x):\n    return f{j}(x)\n")
        + f"def f{n}(x):\n    return F.dropout(x)\nx = checkpoint(f0, x, preserve_rng_state=False)\n"
    ),
    "checkpoint_fan": lambda n: (
        each(n, "def f{i}(x):\n    return f{j}(f{j}(x))\n")
        + f"def f{n}(x):\n    return F.dropout(x)\nx = checkpoint(f0, x, preserve_rng_state=False)\n"
    ),
    "checkpoint_classes": lambda n: (
        each(
            n,
            "class C{i}(nn.Module):\n    def __init__(self):\n        self.a = C{j}()\n        self.b = C{j}()\n",
        )
        + f"class C{n}(nn.Module):\n    def __init__(self):\n        self.d = nn.Dropout(.1)\nm = C0()\nx = checkpoint(m, x, preserve_rng_state=False)\n"
    ),
    "mc": lambda n: (
        "def f(model):\n    for m in model.modules():\n"
        + "        if type(m) == nn.Dropout: m.train()\n" * n
    ),
    "mc_continue": lambda n: (
        "def f(model):\n    for m in model.modules():\n"
        + "        if not x: continue\n        m.train()\n" * n
    ),
    "mc_many_trains": lambda n: (
        "def f(model):\n    for m in model.modules():\n        if "
        + " and ".join(["isinstance(m, nn.Dropout)"] * n)
        + ":\n"
        + "            m.train()\n" * n
    ),
    "p_params": lambda n: (
        "def f("
        + ", ".join(f"p{i}=.1" for i in range(n))
        + "):\n"
        + each(n, "    F.dropout(x, p{i})\n")
    ),
    "p_params_called": lambda n: (
        "def f(x, "
        + ", ".join(f"p{i}=.1" for i in range(n))
        + "):\n    return F.dropout(x, p1)\n"
        + "class M(nn.Module):\n    def forward(self, x):\n"
        + "        x = f(x, 1)\n" * n
    ),
    "called_by_many": lambda n: (
        "def h(x, p):\n"
        + "    x = F.dropout(x, p)\n" * n
        + "    return x\nclass M(nn.Module):\n    def forward(self, x):\n"
        + "        x = h(x, .1)\n" * n
    ),
    "called_rate": lambda n: (
        "def h(x, p):\n"
        + "    x = nn.Dropout(p)(x)\n" * n
        + "    return x\nclass M(nn.Module):\n    def forward(self, x):\n"
        + "        x = h(x, .1)\n" * n
    ),
    "holders": lambda n: (
        "def o(x):\n"
        + each(n, "    def f{i}(x): return nn.Dropout(.1)(x)\n")
        + each(n, "    run(f{i})\n")
    ),
    "keep": lambda n: each(n, "nn.Dropout(keep_prob)\n") + "keep_prob = 1 - x\n" * n,
    "flags": lambda n: (
        "def f("
        + ", ".join(f"a{i}=False" for i in range(n))
        + "):\n"
        + each(n, "    if a{i}: x = F.dropout(x, .1)\n")
    ),
    "if_and_flags": lambda n: (
        "def f("
        + ", ".join(f"a{i}" for i in range(n))
        + "):\n    if "
        + " and ".join(f"b{i}" for i in range(n))
        + ":\n"
        + each(n, "        x = F.dropout(x, .1)\n")
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
    "helpers_many_models": lambda n: (
        "def f("
        + ", ".join(f"m{i}" for i in range(n))
        + "):\n"
        + each(n, "    m{i}.eval()\n    x = m{i}(x)\n")
        + "    return m0\n"
    ),
    "helpers_called": lambda n: (
        "def f("
        + ", ".join(f"m{i}" for i in range(n))
        + "):\n"
        + each(n, "    m{i}.eval()\n    x = m{i}(x)\n")
        + "def g(x):\n"
        + "    f(x)\n" * n
    ),
    "factories": lambda n: cls(
        "    def make(self):\n"
        + "        if self.a: return nn.Dropout(.1)\n" * n
        + "    def forward(self, x):\n"
        + "        x = self.a(self.make())\n" * n
    ),
    "lambdas_kept": lambda n: each(
        n,
        "class C{i}(nn.Module):\n    def __init__(self):\n        self.f = lambda x: nn.Dropout(.1)(x)\n"
        "    def forward(self, x):\n        return self.f(x)\n",
    ),
    "nested_kept": lambda n: cls(
        "    def forward(self, x):\n        return x\n",
        "def f(x):\n"
        + "            x = nn.Dropout(.1)(x)\n" * n
        + "            return x\n"
        + "        f(x)\n" * n
        + "        self.f = f",
    ),
    "helper_builds": lambda n: (
        "def f(x):\n" + "    d = nn.Dropout(.1)\n    x = d(x)\n" * n + "    return x\n"
    ),
    "lists_of_names": lambda n: cls(
        "    def forward(self, x):\n        for d in self.l0: x = d(x)\n        return x\n",
        "l = [nn.Dropout(.1)]\n        " + "\n        ".join(f"self.l{i} = l" for i in range(n)),
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
    "eval_of_text": lambda n: fwd(
        ["x = F.dropout(x, eval(self.p) + ast.literal_eval(self.q))"] * n
    ),
    "layers_by_callers": lambda n: (
        "class M(nn.Module):\n    def __init__(self, n, p=.1):\n"
        + "        self.n = n\n"
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
        ["p0 = self.drop_prob"]
        + [f"p{i + 1} = p{i}" for i in range(n)]
        + [f"x = x * (torch.rand_like(x) > p{n})"] * n
    ),
    "star_names": lambda n: "from helper import *\n" + "x = nn.Dropout(.1)\nx = F.dropout(x)\n" * n,
    "partials": lambda n: fwd(
        [
            f"self.a{i} = functools.partial(F.scaled_dot_product_attention, dropout_p=self.p)"
            for i in range(n)
        ]
        + [f"x = self.a{i}(x, x, x, is_causal=True)" for i in range(n)]
    ),
    "shapes_between": lambda n: fwd(
        ["x = F.dropout(x.view(8, 8).transpose(0, 1), .1, self.training)"] * n
    ),
    "decorated": lambda n: (
        "@torch.no_grad()\n" * n + "def f(x, dropout=.1):\n" + "    x = x + 1\n" * n
    ),
    "wrong_arguments": lambda n: fwd(["x = F.dropout(x, rate=.1)"] * n),
    "lists_of_one": lambda n: fwd(["y = [x]", "x = F.dropout(y[-1], self.p)", "y.append(x)"] * n),
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


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHDROPOUT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    return tmp_path / "src"


BAD = "import torch.nn as nn\nnn.Dropout(7)\n"
needs_timer = pytest.mark.skipif(sys.platform == "win32", reason="it has no such timer")


@needs_timer
@pytest.mark.integration
@needs_timer
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
