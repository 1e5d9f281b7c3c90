"""`scaled_dot_product_attention` on Triton's kernels: run by `kernels/test_triton.py`.

    python tests/triton_attention.py

A process of its own, since Triton reads TRITON_INTERPRET when it is imported. It prints one JSON
object: which calls differ from the other way to compute them, how often each called the kernels,
the errors of output and gradients in each dtype, and those of torch, and the bytes kept.
"""

from __future__ import annotations

import json
import warnings

import torch
from torch.utils.checkpoint import checkpoint

import torchdropout as td
from torchdropout import functional as F
from torchdropout._core.kernels import triton
from torchdropout.functional import _attention

KEY = td.Key(8, 9)
ran = {"attention": 0, "attention_backward": 0}
load = triton.load


def counting(name: str) -> object:
    kernel = load(name)
    if name not in ran:
        return kernel

    def run(*args: object) -> object:
        ran[name] += 1
        return kernel(*args)

    return run


def randn(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator).to(dtype).requires_grad_()


def steps(q, k, v, mask=None, p=0.3, causal=False, **given):
    """Output and gradients."""
    y = F.scaled_dot_product_attention(q, k, v, mask, p, causal, dropout_key=KEY, **given)
    inputs = [t for t in (q, k, v, mask) if t is not None and t.requires_grad]
    return [y, *torch.autograd.grad(y, inputs, randn(*y.shape, dtype=y.dtype).detach())]


def narrow(dtype):
    return lambda **given: steps(*(randn(1, 2, n, 16, dtype=dtype) for n in (19, 37, 37)), **given)


QKV = randn(2, 2, 13, 16), randn(2, 2, 19, 16), randn(2, 2, 19, 8)
SEEN = torch.rand(13, 19, generator=torch.Generator().manual_seed(0)) > 0.4
SEEN[2] = False
MANY = randn(2, 5, 129, dtype=torch.half)


def second():
    q, k, v = QKV
    y = F.scaled_dot_product_attention(q, k, v, None, 0.3, dropout_key=KEY)
    (first,) = torch.autograd.grad(y.square().sum(), q, create_graph=True)
    return [y, first, *torch.autograd.grad(first.square().sum(), (q, k, v))]


def summed():
    y = F.scaled_dot_product_attention(*QKV, None, 0.3, dropout_key=KEY)
    return torch.autograd.grad(y.sum(), QKV)


def recomputed():
    def call(*tensors):
        return F.scaled_dot_product_attention(*tensors, None, 0.3, dropout_key=KEY)

    y = checkpoint(call, *QKV, use_reentrant=False)
    return [y, *torch.autograd.grad(y.sum(), QKV)]


def batched():
    def call(*tensors):
        return F.scaled_dot_product_attention(*tensors, None, 0.3, dropout_key=KEY)

    return [torch.func.vmap(call)(*(t.detach() for t in QKV))]


def in_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        return [t.bfloat16() for t in steps(*QKV)]


# The call, and how often it runs the kernels.
CALLS = {
    "plain": (lambda: steps(*QKV), 1, 1),
    "bfloat16": (narrow(torch.bfloat16), 1, 1),
    "float16, causal": (lambda: narrow(torch.float16)(causal=True), 1, 1),
    "no batch": (lambda: steps(randn(5, 16), randn(7, 16), randn(7, 3)), 1, 1),
    "broadcast": (lambda: steps(randn(5, 16), randn(2, 3, 7, 16), randn(3, 7, 8)), 1, 1),
    "grouped": (
        lambda: steps(randn(4, 5, 16), randn(2, 7, 16), randn(2, 7, 16), enable_gqa=True),
        1,
        1,
    ),
    "one head serves all": (
        lambda: steps(randn(2, 4, 5, 16), randn(2, 1, 7, 16), randn(1, 1, 7, 8)),
        1,
        1,
    ),
    "causal, more keys": (lambda: steps(*QKV, causal=True), 1, 1),
    "a mask, with a query that sees no key": (lambda: steps(*QKV, SEEN), 1, 1),
    "a mask is added": (lambda: steps(*QKV, randn(2, 1, 19).detach()), 1, 1),
    "a query that sees the least number": (
        lambda: steps(*QKV, torch.zeros(13, 19).masked_fill(~SEEN, torch.finfo().min)),
        1,
        1,
    ),
    "scale": (lambda: steps(*QKV, scale=-0.7), 1, 1),
    "whole heads": (lambda: steps(*QKV, broadcast_dims=(-2, -1)), 1, 1),
    "a part": (
        lambda: steps(*QKV, layout=td.MaskLayout.of((4, 8, 20, 30)).at((1, 2, 3, 5))),
        1,
        1,
    ),
    "a gradient of one number": (summed, 1, 1),
    "a negated view": (
        lambda: steps(torch.imag(torch.complex(QKV[0], QKV[0]).conj()), *QKV[1:])[:1],
        1,
        1,
    ),
    "no gradient": (lambda: steps(*(t.detach() for t in QKV[:2]), QKV[2]), 1, 1),
    "recomputed": (recomputed, 2, 1),
    "autocast": (in_autocast, 1, 1),
    "a gradient of the mask": (lambda: steps(*QKV, randn(13, 19)), 0, 0),
    "float64": (lambda: steps(*(t.detach().double().requires_grad_() for t in QKV)), 0, 0),
    "many features": (lambda: steps(*(randn(2, 5, 65) for _ in range(3))), 0, 0),
    "more of a half type": (
        lambda: steps(*(randn(2, 5, 16, dtype=torch.half) for _ in range(2)), MANY),
        0,
        0,
    ),
    "all are dropped": (lambda: steps(*QKV, p=1.0), 0, 0),
    "none is dropped": (lambda: steps(*QKV, p=0.0), 0, 0),
    "empty": (lambda: steps(randn(2, 0, 16), randn(2, 3, 16), randn(2, 3, 16)), 0, 0),
    "second derivatives": (second, 1, 1),
    "vmap": (batched, 0, 0),
}


def distance(one, two):
    """By what is allowed; nothing where both are of the same operations."""
    if torch.equal(one, two):
        return 0.0
    allowed = {torch.float64: 0.0, torch.float32: 4e-6}.get(one.dtype, 3e-2)
    return ((one - two).abs().amax() / (allowed * two.abs().amax())).item()


def main() -> None:
    triton.load = counting
    _attention._MOST_IN_BLOCK = 8  # on a CPU a smaller square is computed in another way
    differ, called = [], []
    for name, (call, *times) in CALLS.items():
        ran.update(dict.fromkeys(ran, 0))
        found = call()
        if list(ran.values()) != times:
            called.append((name, dict(ran)))
        with td.backends.use("reference"):
            expected = call()
        for one, two in zip(found, expected, strict=True):
            if one.dtype != two.dtype or one.shape != two.shape or distance(one, two) > 1:
                differ.append(name)
    print(
        json.dumps(
            {
                "calls": len(CALLS),
                "differ": differ,
                "called": called,
                "errors": {str(dtype)[6:]: errors(dtype) for dtype in DTYPES},
                "kept": kept(),
            }
        )
    )


DTYPES = torch.float32, torch.float16, torch.bfloat16


def errors(dtype):
    """The largest errors of output and gradients, by the largest number: ours and torch's."""
    q, k, v = (
        randn(2, 2, n, 32, dtype=dtype).detach().mul(2).requires_grad_() for n in (60, 75, 75)
    )
    gradient = randn(2, 2, 60, 32, dtype=dtype).detach()
    keep = F.keep_mask((2, 2, 60, 75), 0.2, key=KEY)

    def of_torch(q, k, v):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return torch._scaled_dot_product_attention_math(q, k, v, None, 0.2, False, keep)[0]

    def of_ours(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, None, 0.2, dropout_key=KEY)

    def run(function, inputs):
        inputs = [t.detach().requires_grad_() for t in inputs]
        y = function(*inputs)
        return [y, *torch.autograd.grad(y, inputs, gradient.to(y.dtype))]

    exact = run(of_torch, [t.double() for t in (q, k, v)])
    return [
        [((a - b).abs().amax() / b.abs().amax()).item() for a, b in zip(each, exact, strict=True)]
        for each in (run(of_ours, (q, k, v)), run(of_torch, (q, k, v)))
    ]


def kept():
    """The bytes that are kept for the backward besides the inputs."""
    q, k, v = (randn(1, 2, 64, 16) for _ in range(3))
    places = {t.untyped_storage().data_ptr() for t in (q, k, v)}
    found = {}

    def pack(t):
        found[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        F.scaled_dot_product_attention(q, k, v, None, 0.1)
    return sum(size for place, size in found.items() if place not in places)


main()
