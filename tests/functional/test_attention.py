"""Attention dropout: torch's attention with the contract's mask on its probabilities."""

import functools
import math

import pytest
import torch
from torch.nn import functional as torch_F

from draws import draws_nothing, kept, threads
from oracle import mask as defined_mask
from torchdropout import Key, MaskLayout
from torchdropout import functional as F
from torchdropout.functional import _attention
from torchdropout.functional._part import Part
from torchdropout.functional.attention import attention_of_passes
from variants import seeded

KEY = Key(8, 9)
attention = functools.partial(F.scaled_dot_product_attention, dropout_key=KEY)


def randn(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, dtype=dtype, generator=generator).requires_grad_()


def bools(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape))) > 0.4


def defined(
    q, k, v, mask=None, p=0.3, causal=False, *, scale=None, gqa=False, layout=None, dims=()
):
    """The formula, in the dtype given, with keep bits from the definition of the contract."""
    if gqa:
        k, v = (t.repeat_interleave(q.shape[-3] // t.shape[-3], -3) for t in (k, v))
    scores = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    seen = torch.ones(scores.shape, dtype=torch.bool)
    if causal:
        seen = seen.tril()
    if mask is not None and mask.dtype == torch.bool:
        seen = seen & mask
    elif mask is not None:
        scores = scores + mask
        seen = seen & (scores > -math.inf)
    exps = torch.where(seen, (scores - scores.detach().amax(-1, keepdim=True)).exp(), 0.0)
    sums = exps.sum(-1, keepdim=True)
    weights = exps / torch.where(sums == 0.0, 1.0, sums)
    layout = layout or MaskLayout.of(tuple(weights.shape), dims)
    keep = defined_mask(KEY, p, weights.shape, layout)
    return torch.where(keep, weights / (1 - p), 0.0) @ v


QKV = (randn(2, 6, 5, 4), randn(2, 6, 7, 4), randn(2, 6, 7, 3))
GROUPED = (randn(2, 6, 5, 4), randn(2, 2, 7, 4), randn(2, 2, 7, 3))
CUT = MaskLayout.of((4, 8, 10, 7)).at((1, 1, 2))
FIRST_THREE_UNSEEING = torch.tensor([False, False, False, True, True])[:, None].expand(5, 7)
CASES = {
    "no batch": ((randn(5, 4), randn(7, 4), randn(7, 3)), {}),
    "3-D": ((randn(6, 5, 4), randn(6, 7, 4), randn(6, 7, 3)), {}),
    "4-D": (QKV, {}),
    "5-D": ((randn(2, 3, 2, 5, 4), randn(2, 3, 2, 7, 4), randn(2, 3, 2, 7, 3)), {}),
    "causal, fewer queries": (QKV, {"causal": True}),
    "causal, few keys": ((randn(2, 3, 9, 4), randn(2, 3, 7, 4), randn(2, 3, 7, 3)), {"causal": 1}),
    "grouped": (GROUPED, {"gqa": True}),
    "grouped, causal": (GROUPED, {"gqa": True, "causal": True}),
    "one head serves all": ((randn(2, 6, 5, 4), randn(2, 1, 7, 4), randn(1, 1, 7, 3)), {}),
    "keys of one head": ((randn(1, 6, 5, 4), randn(2, 1, 7, 4), randn(2, 6, 7, 3)), {}),
    "queries without batch": ((randn(5, 4), randn(2, 3, 7, 4), randn(3, 7, 3)), {}),
    "keys without heads": ((randn(2, 3, 5, 4), randn(7, 4), randn(7, 3)), {}),
    "one query": ((randn(2, 6, 1, 4), randn(2, 6, 7, 4), randn(2, 6, 7, 3)), {"causal": True}),
    "mask": (QKV, {"mask": bools(5, 7)}),
    "mask of padding": (QKV, {"mask": bools(2, 1, 1, 7)}),
    "mask of each": (QKV, {"mask": bools(2, 6, 5, 7)}),
    "queries that see no key": (QKV, {"mask": FIRST_THREE_UNSEEING}),
    "added to each head": (QKV, {"mask": randn(6, 5, 7)}),
    "added to each": (QKV, {"mask": randn(2, 6, 5, 7)}),
    "added to each key": (QKV, {"mask": randn(7)}),
    "added to each head's key, grouped": (GROUPED, {"gqa": True, "mask": randn(2, 6, 1, 7)}),
    "added to each query, grouped": (GROUPED, {"gqa": True, "mask": randn(2, 1, 5, 1)}),
    "two of each, one group": (
        (randn(1, 2, 2, 4), randn(1, 1, 3, 4), randn(1, 1, 3, 3)),
        {"gqa": True, "mask": randn(2, 2, 3)},
    ),
    "layout": (QKV, {"layout": CUT}),
    "layout from 2**63 on": (QKV, {"layout": MaskLayout(2**63 + 5, (210, 35, 7, 1))}),
    "layout, grouped, causal": (GROUPED, {"gqa": True, "causal": True, "layout": CUT}),
    "whole heads": (QKV, {"dims": (-2, -1)}),
    "two of each group": ((randn(4, 2, 4), randn(2, 3, 4), randn(2, 3, 3)), {"gqa": True}),
    "heads share": (QKV, {"dims": (1,)}),
    "samples share": (QKV, {"dims": (0,)}),
    "samples and heads share": (QKV, {"dims": (0, 1)}),
    "scale": (QKV, {"scale": -0.3}),
}


def called(q, k, v, mask=None, p=0.3, causal=False, *, scale=None, gqa=False, layout=None, dims=()):
    return attention(
        *(q, k, v, mask, p, bool(causal)),
        **{"scale": scale, "enable_gqa": gqa, "layout": layout, "broadcast_dims": dims},
    )


@pytest.mark.parametrize("block", [7, 1 << 18])
@pytest.mark.parametrize("name", CASES)
def test_equals_the_definition(name, block, monkeypatch):
    """Output and gradients do not depend on how the square is cut into blocks, or whether it is."""
    monkeypatch.setattr(_attention, "_MOST_IN_BLOCK", block)
    monkeypatch.setattr(_attention, "_MOST_CAUSAL_ROWS", 3)
    qkv, given = CASES[name]
    y, expected = called(*qkv, **given), defined(*qkv, **given)
    assert y.shape == expected.shape
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-13)
    mask = given.get("mask")
    inputs = [*qkv, *([mask] if mask is not None and mask.requires_grad else [])]
    gradient = randn(*y.shape).detach()
    found = torch.autograd.grad(y, inputs, gradient)
    for got, wanted in zip(found, torch.autograd.grad(expected, inputs, gradient), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-12)


def test_a_single_key_that_is_not_seen_has_finite_derivatives():
    q, k, v = randn(5, 4), randn(1, 4), randn(1, 3)
    y = called(q, k, v, FIRST_THREE_UNSEEING[:, :1])
    (gradient,) = torch.autograd.grad(y.sum(), v, create_graph=True)
    (second,) = torch.autograd.grad((gradient * randn(1, 3).detach()).sum(), q)
    assert gradient.isfinite().all()
    assert second.isfinite().all()


def seen_mask(dtype=torch.float32, heads=2, p=0.3, **kwargs):
    """With equal scores and values that distinguish the keys, the output is the mask."""
    q, k = torch.zeros(3, heads, 16, 4, dtype=dtype), torch.zeros(3, heads, 32, 4, dtype=dtype)
    v = torch.eye(32, dtype=dtype).expand(3, heads, 32, 32)
    return attention(q, k, v, None, p, **kwargs) != 0


def test_the_mask_is_dropouts_in_every_dtype_and_with_any_threads():
    expected = F.dropout(torch.ones(3, 2, 16, 32), 0.3, key=KEY) != 0
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        assert torch.equal(seen_mask(dtype), expected)
    for count in (1, 3):
        with threads(count):
            assert torch.equal(seen_mask(), expected)


@pytest.mark.parametrize(
    "given", [{}, {"is_causal": True}, {"attn_mask": bools(5, 7)}, {"scale": 0.7}], ids=str
)
def test_without_dropout_it_is_torchs_and_draws_nothing(given):
    q, k, v = (t.detach().float() for t in QKV)
    expected = torch_F.scaled_dot_product_attention(q, k, v, **given)
    for p in ({}, {"dropout_p": 0}, {"dropout_p": 0.0}):
        with draws_nothing():
            y = F.scaled_dot_product_attention(q, k, v, **p, **given)
        assert torch.equal(y, expected)


def test_in_place_of_torchs_own_in_torchs_own_module(monkeypatch):
    """Each function that has a name of torch's is put there, as one does to change a program."""
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, 0.4, batch_first=True)
    x = randn(2, 5, 8, dtype=torch.float32)
    expected = layer.eval()(x), torch_F.scaled_dot_product_attention(x, x, x)
    for name in set(dir(F)) & set(dir(torch_F)):
        if not name.startswith("_"):
            monkeypatch.setattr(torch_F, name, getattr(F, name))
    assert torch_F.scaled_dot_product_attention is F.scaled_dot_product_attention
    assert torch.equal(layer(x), expected[0])
    assert torch.equal(torch_F.scaled_dot_product_attention(x, x, x), expected[1])
    assert torch.equal(seeded(layer.train(), x), seeded(layer, x))
    assert not torch.equal(layer(x), layer(x))


@pytest.mark.integration
def test_gradients_of_both_orders_and_forward(monkeypatch):
    monkeypatch.setattr(_attention, "_MOST_IN_BLOCK", 10)
    inputs = randn(1, 4, 2, 1), randn(1, 2, 3, 1), randn(1, 2, 3, 2), randn(4, 1, 3)

    def function(q, k, v, mask):
        return attention(q, k, v, mask, 0.3, enable_gqa=True)

    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, inputs)
    x = randn(2, 3, 2)  # one tensor as q, k and v
    assert torch.autograd.gradcheck(lambda x: attention(x, x, x, None, 0.3, True), x)
    assert torch.autograd.gradgradcheck(lambda x: attention(x, x, x, None, 0.3, True), x)


def test_nothing_square_is_kept_and_no_block_is_larger_than_a_block(monkeypatch):
    sizes = []
    dropped = _attention._Square.dropped

    def spy(self, weights, block, **given):
        sizes.append(weights.numel())
        return dropped(self, weights, block, **given)

    monkeypatch.setattr(_attention._Square, "dropped", spy)
    q, k, v = (randn(2, 4, 512, 16, dtype=torch.float32) for _ in range(3))
    with kept() as tensors:
        y = F.scaled_dot_product_attention(q, k, v, None, 0.1, True)
    places = {t.untyped_storage().data_ptr() for t in (q, k, v)}
    assert {t.untyped_storage().data_ptr() for t in tensors} == places  # 3 inputs, no byte more
    torch.autograd.grad(y.sum(), (q, k, v))
    assert max(sizes) <= _attention._MOST_IN_BLOCK < y.shape[:-1].numel() * 512
    assert sum(sizes) < 2 * 0.65 * y.shape[:-1].numel() * 512  # the blocks of a causal square


@pytest.mark.integration
@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_program_takes_any_size(strict):
    """Smaller and larger than one block: once wrong, "Guard failed: ... <= 262144"."""

    class Model(torch.nn.Module):
        def forward(self, q):
            p = 0.3 if self.training else 0.0
            return F.scaled_dot_product_attention(q, q, q, None, p, dropout_key=KEY)

    sizes = {0: torch.export.Dim("batch", max=4096), 2: torch.export.Dim("length", max=4096)}
    q = randn(2, 4, 16, 8, dtype=torch.float32).detach()
    program = torch.export.export(Model(), (q,), dynamic_shapes=[sizes], strict=strict).module()
    for shape in ((3, 4, 5, 8), (3, 4, 160, 8)):
        q = randn(*shape, dtype=torch.float32).detach()
        torch.testing.assert_close(program(q), Model()(q))


def passes_of(name, function):
    """The outputs of three passes with keys of their own, and the inputs of each."""
    qkv, given = CASES[name]
    mask = given.get("mask")
    inputs = [torch.stack([t, 2 * t, -t]).detach().requires_grad_() for t in qkv]
    if mask is not None:  # one with a place for each sample has one for each pass too
        size = 3 if mask.ndim == 4 else 1
        numbers = torch.arange(size).view(-1, *[1] * mask.ndim)
        mask = (
            (mask & ((numbers + torch.arange(7)) % 5 > 0))
            if mask.dtype == torch.bool
            else (mask.detach() * (1 + numbers)).requires_grad_()
        )
        inputs.append(mask)
    options = {"scale": given.get("scale"), "enable_gqa": given.get("gqa", False)}
    y = function(*inputs[:3], mask, bool(given.get("causal")), options)
    return y, [t for t in inputs if t.requires_grad]


PASSES = [Key(8, 9), Key(2**64 - 1, 5), Key(8, 10)]


def together(q, k, v, mask, causal, options):
    keys = torch.stack([key.tensor() for key in PASSES])
    part = Part(None, 0)
    return attention_of_passes(q, k, v, mask, 0.3, causal, keys, part, **options)


def one_by_one(q, k, v, mask, causal, options):
    return torch.stack(
        [
            F.scaled_dot_product_attention(
                *(q[n], k[n], v[n], None if mask is None else mask[n % len(mask)], 0.3, causal),
                **options,
                dropout_key=key,
            )
            for n, key in enumerate(PASSES)
        ]
    )


@pytest.mark.parametrize("block", [40, 500])
@pytest.mark.parametrize("name", [n for n in CASES if not {"layout", "dims"} & CASES[n][1].keys()])
def test_passes_together_are_those_one_by_one(name, block, monkeypatch):
    """A block may end within a pass, or have several."""
    monkeypatch.setattr(_attention, "_MOST_IN_BLOCK", block)
    y, inputs = passes_of(name, together)
    expected, others = passes_of(name, one_by_one)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-13)
    gradient = randn(*y.shape).detach()
    found = torch.autograd.grad(y, inputs, gradient)
    for got, wanted in zip(found, torch.autograd.grad(expected, others, gradient), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", [(0, 2, 2, 3), (2, 0, 2, 3), (2, 2, 0, 3), (2, 2, 3, 0)])
def test_empty(shape, masked):
    batch, heads, queries, keys = shape
    q = randn(batch, heads, queries, 4)
    k, v = randn(batch, heads, keys, 4), randn(batch, heads, keys, 3)
    y = attention(q, k, v, bools(queries, keys) if masked else None, 0.3)
    assert torch.equal(y.detach(), torch.zeros(batch, heads, queries, 3, dtype=torch.float64))
    gradients = torch.autograd.grad(y.sum(), (q, k, v))
    assert [g.shape for g in gradients] == [t.shape for t in (q, k, v)]


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_autocast_takes_tensors_of_several_dtypes(p):
    q = torch.randn(2, 3, 4, 8)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = F.scaled_dot_product_attention(
            q, q.bfloat16(), q.half(), q.new_zeros(4, 4).bfloat16(), p, dropout_key=Key(1)
        )
    narrow = q.bfloat16()
    alike = F.scaled_dot_product_attention(
        narrow, narrow, q.half().bfloat16(), narrow.new_zeros(4, 4), p, dropout_key=Key(1)
    )
    assert mixed.dtype == torch.bfloat16
    assert torch.equal(mixed, alike)
