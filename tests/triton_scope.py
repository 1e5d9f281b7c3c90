"""Scopes on Triton's kernels, in Triton's interpreter: run by `kernels/test_triton.py`.

    python tests/triton_scope.py

A process of its own, since Triton reads TRITON_INTERPRET when it is imported. For each function of
this library, and models of torch, the draws of a whole batch and of its parts are compared with
those of the other kernels, and for each module of this library the result and the gradients of a
step. It prints one JSON object: the cases, those that differ, which of Triton's kernels ran, and
the modules for which none did.
"""

from __future__ import annotations

import json
import sys

import torch
from torch.nn import functional as torch_F

import torchdropout as td
from keyed_parts import FUNCTIONS, MODULES, ROUNDED, SCOPE, Calls, X
from torchdropout._core.kernels import triton

TORCHS = {
    "torch: dropout": lambda x: torch_F.dropout(x, 0.4),
    "torch: alpha_dropout": lambda x: torch_F.alpha_dropout(x, 0.4, True),
    "torch: drop path": lambda x: x.new_empty((len(x), 1, 1)).bernoulli_(0.5) * x,
    "torch: rand": lambda x: torch.rand(x.shape),
    "torch: randn": lambda x: torch.randn(x.shape),
    "torch: samples second": lambda x: torch_F.dropout(x.transpose(0, 1), 0.4).transpose(0, 1),
    "torch: attention": lambda x: torch_F.scaled_dot_product_attention(x, x, x, dropout_p=0.4),
}


OWN = {
    **FUNCTIONS,
    "rates": lambda x: td.functional.dropout(x, torch.linspace(0.1, 0.8, 12)),
}


def drawn(function: object) -> list[torch.Tensor]:
    """Return the draws of the whole, and of parts in one scope."""
    model = Calls(function)
    with td.keyed(model, **SCOPE):
        whole = model(X)
    with td.keyed(model, batch=(0, 8), **SCOPE):
        parts = [model(x) for x in X.split(5)]
    return [whole, torch.cat(parts)]


def stepped(name: str) -> list[torch.Tensor]:
    """Result and gradients of a module, of its parameters too."""
    make, call = MODULES[name]
    torch.manual_seed(5)
    module, x = make(), X.clone().requires_grad_()
    y = call(module, x)
    learned = [t for t in (x, *module.parameters()) if t.requires_grad]
    weights = torch.linspace(-1.0, 1.0, y.numel()).view(y.shape)
    gradients = torch.autograd.grad(y, learned, weights, allow_unused=True)
    return [y, *(g for g in gradients if g is not None), torch.rand(1)]


def same(one: torch.Tensor, two: torch.Tensor, exact: bool) -> bool:
    return torch.equal(one, two) if exact else torch.allclose(one, two, 1e-5, 1e-5)


def of_modules(others: list[str]) -> dict[str, list[object]]:
    """Those that differ from another kernel's, and those that call none of Triton's."""
    calls, load = [], triton.load

    def counting(operator: str) -> object:
        calls.append(operator)
        return load(operator)

    differ, without = [], []
    triton.load = counting
    for name in MODULES:
        calls.clear()
        found = stepped(name)
        if not calls:
            without.append(name)
        for other in others:
            with td.backends.use(other):
                expected = stepped(name)
            pairs = zip(found, expected, strict=True)
            if not all(same(*pair, "Attention" not in name) for pair in pairs):
                differ.append((name, other))
    triton.load = load
    return {"differ": differ, "without": without}


def main() -> None:
    others = [name for name in td.backends.available() if name != "triton"]
    modules = of_modules(others)
    differ = modules["differ"]
    for name, function in {**OWN, **TORCHS}.items():
        exact = name not in ROUNDED and name != "torch: attention"
        found = drawn(function)
        for other in others:
            with td.backends.use(other):
                expected = drawn(function)
            for one, two in zip(found, expected, strict=True):
                if not same(one, two, exact):
                    differ.append((name, other))
    home = "torchdropout._core.kernels.triton."
    ran = sorted(name.removeprefix(home) for name in sys.modules if name.startswith(home))
    print(
        json.dumps(
            {
                "cases": len(OWN) + len(TORCHS),
                "modules": sorted({name.partition(",")[0] for name in MODULES}),
                "differ": differ,
                "ran": ran,
                "without": modules["without"],
            }
        )
    )


main()
