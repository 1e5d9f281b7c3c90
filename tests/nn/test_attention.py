"""nn.MultiheadAttention: torch's module, with our masks in training; torch's forward in eval."""

import itertools
from unittest import mock

import pytest
import torch
from torch.nn import functional as torch_F

import torchdropout as td
from draws import draws_nothing, kept
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError
from variants import seeded

LENGTH, BATCH = 5, 3


def pair(dropout=0.4, **given):
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(8, 2, dropout, **given)
    ours = td.nn.MultiheadAttention(8, 2, dropout, **given)
    ours.load_state_dict(theirs.state_dict())
    for t in (ours, theirs):
        for name, bias in t.named_parameters():
            if "bias" in name:
                torch.nn.init.constant_(bias, 0.1)
    return ours, theirs


def theirs_with_our_dropout(module, *args, **kwargs):
    """Torch's forward, by the path that names each operation, whose dropout is ours."""
    with (
        mock.patch.object(torch_F, "dropout", F.dropout),
        mock.patch.object(torch_F, "scaled_dot_product_attention", F.scaled_dot_product_attention),
    ):
        return seeded(module, *args, **kwargs)


def inputs(alike, *, batch_first=False, kdim=8, vdim=8, **_):
    """Query, key and value; of one tensor, of two or of three."""
    torch.manual_seed(1)

    def make(length, features):
        x = torch.randn(BATCH, length, features)
        return x if batch_first else x.transpose(0, 1)

    query = make(LENGTH, 8)
    if alike == 1:
        return query, query, query
    key = make(7, kdim)
    return query, key, key if alike == 2 else make(7, vdim)


def masks(kind, padded, keys):
    torch.manual_seed(2)
    padding = torch.zeros(BATCH, keys, dtype=torch.bool)
    padding[1, 3:] = True
    mask = None
    if kind == "bool":
        mask = torch.ones(LENGTH, keys, dtype=torch.bool).triu(1)
    elif kind == "float":
        mask = torch.randn(LENGTH, keys)
        padding = torch.zeros(padding.shape).masked_fill(padding, -9.0)
    elif kind == "each":
        mask = torch.rand(BATCH * 2, LENGTH, keys) > 0.8
    return padding if padded else None, mask


SETTINGS = [
    {},
    {"batch_first": True, "bias": False},
    {"add_bias_kv": True, "batch_first": True},
    {"add_zero_attn": True},
    {"add_bias_kv": True, "add_zero_attn": True, "kdim": 6, "vdim": 10},
    {"kdim": 6, "vdim": 10, "bias": False, "batch_first": True},
]


@pytest.mark.parametrize("kind", [None, "bool", "float", "each"])
@pytest.mark.parametrize("given", SETTINGS, ids=str)
def test_training_is_torchs_with_our_dropout(given, kind):
    ours, theirs = pair(**given)
    for alike, padded, (need, average) in itertools.product(
        (1, 2, 3), (False, True), ((True, True), (True, False), (False, True))
    ):
        if alike < 3 and "kdim" in given:
            continue
        qkv = inputs(alike, **given)
        keys = LENGTH if alike == 1 else 7
        padding, mask = masks(kind, padded, keys)
        arguments = (padding, need, mask, average)
        y, weights = seeded(ours, *qkv, *arguments)
        expected, expected_weights = theirs_with_our_dropout(theirs, *qkv, *arguments)
        torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(weights, expected_weights, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("given", SETTINGS, ids=str)
def test_eval_and_no_dropout_are_torchs_bit_for_bit(given):
    for dropout, training in ((0.4, False), (0.0, True), (0.0, False)):
        ours, theirs = (m.train(training) for m in pair(dropout, **given))
        qkv = inputs(3, **given)
        padding, mask = masks("bool", True, 7)
        for gradients, need in itertools.product((False, True), repeat=2):
            with torch.set_grad_enabled(gradients), draws_nothing():
                y, expected = (m(*qkv, padding, need, mask) for m in (ours, theirs))
            assert torch.equal(y[0], expected[0])
            assert (y[1] is expected[1] is None) or torch.equal(y[1], expected[1])


def test_the_weights_returned_are_those_after_dropout_and_do_not_change_the_mask():
    ours, _ = pair(0.5)
    qkv = inputs(1)
    y, weights = seeded(ours, *qkv, average_attn_weights=False)
    keep = F.keep_mask((BATCH, 2, LENGTH, LENGTH), 0.5, key=seeded(td.Key.draw))
    assert torch.equal(weights != 0, keep)
    torch.testing.assert_close(y, seeded(ours, *qkv, need_weights=False)[0])


def test_nothing_square_is_kept_without_weights():
    module = td.nn.MultiheadAttention(8, 2, 0.1, batch_first=True)
    x = torch.randn(2, 300, 8)
    with kept() as tensors:
        module(x, x, x, need_weights=False)
    assert 0 < max(t.untyped_storage().nbytes() for t in tensors) <= 3 * 4 * x.numel()


def test_dropout_that_is_on_in_an_encoder_in_eval_stays_on():
    """In eval torch's encoder layer has a fast path around its attention."""
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    theirs = layer.self_attn
    layer.self_attn = td.nn.MultiheadAttention(8, 2, 0.5, batch_first=True).eval()
    x = torch.randn(2, 5, 8)
    with torch.no_grad():
        assert torch.equal(layer(x), layer(x))
        layer.self_attn.train()
        assert not torch.equal(layer(x), layer(x))
        # What this guards against: torch's own module is not even called.
        layer.self_attn = theirs
        theirs.dropout = 0.5
        theirs.train()
        assert torch.equal(layer(x), layer(x))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_tensors_are_refused_in_training_with_what_to_do():
    module = td.nn.MultiheadAttention(8, 2, 0.5, batch_first=True)
    x = torch.nested.nested_tensor([torch.ones(2, 8), torch.ones(1, 8)])
    with pytest.raises(ArgumentTypeError, match="enable_nested_tensor=False"):
        module(x, x, x)
    with torch.no_grad():
        assert module.eval()(x, x, x, need_weights=False)[0].is_nested


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_types_and_autocast(dtype):
    module = td.nn.MultiheadAttention(8, 2, 0.3, batch_first=True)
    x = inputs(1, batch_first=True)[0]
    wide = seeded(module, x, x, x)
    with torch.autocast("cpu", dtype):
        y, weights = seeded(module, x, x, x)
        assert y.dtype == dtype
        other, _ = seeded(module, x, x, x, need_weights=False)
        torch.testing.assert_close(y, other, atol=1e-2, rtol=0)
    module.to(dtype)
    narrow, narrow_weights = seeded(module, *[x.to(dtype)] * 3)
    assert narrow.dtype == narrow_weights.dtype == dtype
    for a in (y, narrow):
        torch.testing.assert_close(a.float(), wide[0], rtol=0, atol=0.03)
    for a in (weights, narrow_weights):
        torch.testing.assert_close(a.float(), wide[1], rtol=0, atol=0.03)


@pytest.mark.integration
def test_compiled_a_mask_may_be_a_constant_where_sizes_are_symbols():
    """A symbol equals a size without being found by `in`."""
    module, key = td.nn.MultiheadAttention(8, 2, 0.5), td.Key(3)

    def call(x):
        mask = torch.ones(5, 5, dtype=torch.bool).triu(1)
        y, _ = module(x, x, x, attn_mask=mask, need_weights=False, dropout_key=key)
        return y

    x = torch.randn(5, 3, 8)
    compiled = torch.compile(call, backend="aot_eager", fullgraph=True, dynamic=True)
    torch.testing.assert_close(compiled(x), call(x))
