"""A program: processes over gloo that compute with DTensors what one process computes of the whole.

`python spread.py STORE some|all ROWS [COLUMNS]`: a mesh of one dimension or two, and a process for
each of its places; some placements of each case, or all.
"""

import copy
import gc
import itertools
import math
import os
import sys
import traceback

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import (
    DTensor,
    Partial,
    Replicate,
    Shard,
    distribute_module,
    distribute_tensor,
)
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.distributed.tensor.placement_types import _StridedShard

import torchdropout as td
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError


def numbers(*shape, dtype=torch.float32):
    """Whole numbers, whose sums are exact in any order."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-4, 5, shape, generator=generator).to(dtype)


def attention(*sizes, **options):
    def call(query, key, value, mask=None):
        return F.scaled_dot_product_attention(query, key, value, mask, 0.4, **options)

    q, k, v, *mask = (
        torch.randn(size, generator=torch.Generator().manual_seed(1)) for size in sizes
    )
    return call, [q, k, v, *mask]


def placed(constant, x):
    """A constant, spread as x is where it has its sizes; else every process has all of it."""
    if not isinstance(x, DTensor):
        return constant
    everywhere = [Replicate()] * x.device_mesh.ndim
    placements = x.placements if constant.shape == x.shape else everywhere
    return distribute_tensor(constant, x.device_mesh, placements)


X = numbers(7, 5, 6)
RATES = torch.linspace(0.0, 1.0, X.numel()).view_as(X)
MAPS = numbers(4, 3, 7, 6)
ROWS = numbers(5, 4, 8)
HEADS = (3, 4, 5, 8)
# By name: a function, and its tensors, the first of which says how the result is placed.
CASES = {
    "dropout": (lambda x: F.dropout(x, 0.4), [X]),
    "with a key": (lambda x: F.dropout(x, 0.4, key=td.Key(2**63 + 5, 1)), [X]),
    "in place": (lambda x: F.dropout(x * 1, 0.4, inplace=True), [X]),
    "dropout1d": (lambda x: F.dropout1d(x, 0.4), [X]),
    "a p for each element": (lambda x: F.dropout(x, placed(RATES, x)), [X]),
    "a p for each column": (lambda x: F.dropout(x, placed(RATES[-1, -1], x)), [X]),
    "a p for each row": (lambda x: F.dropout(x, placed(RATES[:, :, :1], x)), [X]),
    "unscaled": (lambda x: F.drop_connect(x, placed(RATES[0, :, :1], x)), [X]),
    "alpha": (lambda x: F.alpha_dropout(x, 0.4, True), [X]),
    "drop_path": (lambda x: F.drop_path(x, 0.4, True), [X]),
    "locked": (lambda x: F.locked_dropout(x, 0.4), [X]),
    "layout": (lambda x: F.dropout(x, 0.4, layout=td.MaskLayout(7, (0, 90, 2))), [X]),
    "gaussian": (lambda x: F.gaussian_dropout(x, 0.4), [X]),
    "noise in place": (lambda x: F.gaussian_noise(x * 1, 0.4, inplace=True), [X]),
    "module": (td.nn.Dropout(0.4), [X]),
    "eval": (lambda x: F.dropout(x, 0.4, False) * 1, [X]),
    "dropout_add": (lambda x, r: F.dropout_add(x, r, 0.5), [X, X + 1]),
    "with bias": (lambda x, r, b: F.dropout_add(x, r, 0.5, bias=b), [X, X + 1, numbers(6)]),
    "half": (
        lambda x, r, b: F.dropout_add(x, r, 0.5, bias=b),
        [X.bfloat16(), X.bfloat16() + 1, numbers(6, dtype=torch.bfloat16)],
    ),
    "zoneout": (lambda new, old: F.zoneout(new, old, 0.4), [X, X + 1]),
    "zoneout in eval": (lambda new, old: F.zoneout(new, old, 0.5, False), [X, X + 1]),
    "blocks1d": (lambda x: F.drop_block1d(x, 0.5, 3), [X]),
    "blocks": (lambda x: F.drop_block2d(x, 0.5, 3), [MAPS]),
    "blocks in place": (lambda x: F.drop_block2d(x * 1, 0.5, 2, inplace=True), [MAPS]),
    "blocks by count": (lambda x: F.drop_block2d(x, 0.5, 3, scale="count"), [MAPS]),
    "blocks of all channels": (lambda x: F.drop_block2d(x, 0.5, 3, per_channel=False), [MAPS]),
    "blocks of one sample": (lambda x: F.drop_block2d(x, 0.5, 3, scale="count"), [MAPS[0]]),
    "tokens": (lambda x: F.token_dropout(x, 0.5, num_prefix_tokens=1), [X]),
    "tokens of a batch": (lambda x: F.token_dropout(x, 0.5, broadcast_dims=(0,)), [X]),
    "places": (lambda x: F.token_dropout(x, 0.5, return_indices=True)[1] * 1.0 + 0 * x.sum(), [X]),
    "n of m": (lambda x: F.n_m_dropout(x, 2, 4), [ROWS]),
    "n of m along dim 1": (lambda x: F.n_m_dropout(x, 1, 2, dim=1), [ROWS]),
    "columns": (lambda x: F.column_dropout(x, 0.5), [ROWS]),
    "columns of a row": (lambda x: F.column_dropout(x, 0.5, dim=1, mode="row"), [ROWS]),
    "concrete": (lambda x, p: F.concrete_dropout(x, p), [X, torch.tensor(0.5)]),
    "concrete, by channel": (lambda x, p: F.concrete_dropout(x, p), [X, numbers(5, 1)]),
    "concrete, shared": (
        lambda x, p: F.concrete_dropout(x, p, broadcast_dims=(0, 2)),
        [X, numbers(7, 1, 6)],
    ),
    "variational": (lambda x, a: F.variational_dropout(x, a), [X, numbers(6) / 4]),
    "attention": attention(HEADS, HEADS, (3, 4, 5, 2)),
    "causal": attention(HEADS, HEADS, HEADS, is_causal=True),
    "attention, without a batch": attention((5, 8), (6, 8), (6, 8)),
    "attention, broadcast": attention(HEADS, (1, 4, 6, 8), (3, 1, 6, 8), (4, 1, 6)),
    "grouped": attention(HEADS, (3, 2, 6, 8), (3, 2, 6, 8), (5, 6), enable_gqa=True),
    "grouped, one": attention(HEADS, (3, 1, 6, 8), (3, 1, 6, 8), enable_gqa=True),
    "attention, shared": attention(*[HEADS] * 3, broadcast_dims=(-2, -1), dropout_key=td.Key(3)),
}


def of_layers():
    """Calls whose tensors are not placed alike.

    By name: a function, its tensors, and for a dimension of the mesh how they are placed.
    """
    s0, s1, last, all_ = Shard(0), Shard(1), Shard(2), Replicate()
    rows, table = numbers(12, 12, 6), numbers(5, 6)  # torch flattens even shards only
    data = (s0, all_, all_, all_)
    whole = (all_, all_, all_, all_)
    linear = [data, whole, (all_, s0, s0, s0), (last, s1, s1, all_)]
    # The noise alone: its variance is a sum of squares of whole numbers, and so is exact.
    noise = [rows, torch.zeros(5, 6), torch.zeros(5, 6), torch.zeros(5)]
    convolution = [data, whole, (s1, all_, s1, all_), (last, s1, s0, all_), (all_, s0, s0, s0)]
    maps, kernels = numbers(5, 4, 6, 5), numbers(6, 2, 2, 3)
    options = {"padding": "same", "groups": 2}
    words = torch.tensor([[4, 0, 1], [0, 4, 3], [2, 2, 4], [1, 0, 0], [3, 1, 4]])
    looked_up = [(s0, all_), (s1, all_), (all_, s1), (s0, s1), (all_, all_)]
    if torch.__version__ >= "2.11":
        # Before, torch flattens no shards of a sequence, and fails to sum what it looked up.
        linear.append((s1, all_, all_, all_))
        looked_up.append((all_, s0))
    return {
        "linear": (F.variational_linear, [rows, table, table / 4, numbers(5)], linear),
        "linear, noise alone": (F.variational_linear, noise, linear),
        "linear, eval": (
            lambda *t: F.variational_linear(*t, training=False, threshold=0.5),
            [rows, table, table, numbers(5)],
            linear,
        ),
        "convolution": (
            lambda *t: F.variational_conv2d(*t, **options),
            [maps, kernels, kernels / 4, numbers(6)],
            convolution,
        ),
        "convolution, noise alone": (
            lambda x, w, s: F.variational_conv2d(x, w, s, stride=2, padding=1),
            [maps, torch.zeros(6, 4, 2, 3), torch.zeros(6, 4, 2, 3)],
            [way[:3] for way in convolution],
        ),
        "convolution, without a batch": (
            lambda *t: F.variational_conv2d(*t, **options),
            [maps[0], kernels, kernels / 4, numbers(6)],
            convolution,
        ),
        "convolution, eval": (
            lambda *t: F.variational_conv2d(*t, training=False, threshold=0.5, **options),
            [maps, kernels, kernels, numbers(6)],
            convolution,
        ),
        "embedding": (
            lambda words, t: F.embedding_dropout(words, t, 0.4, padding_idx=4),
            [words, table],
            looked_up,
        ),
        "embedding by key": (
            lambda words, t: F.embedding_dropout(words, t, 0.5, scale=3.0, key=td.Key(5)),
            [words, table],
            looked_up,
        ),
    }


# Sums of floats, or torch's exp, which rounds by where in a vector an element is.
ROUNDED = {"concrete", "variational", "attention", "causal", "grouped"}


def run(function, tensors):
    tensors = [t.detach().requires_grad_(t.is_floating_point()) for t in tensors]
    torch.manual_seed(3)
    y = function(*tensors)
    weights = numbers(*y.shape, dtype=y.dtype)  # a gradient that differs by place
    if isinstance(y, DTensor):
        weights = distribute_tensor(weights, y.device_mesh, y.placements)
    (y * weights).sum().backward()
    return y.detach(), [t.grad for t in tensors], torch.rand(1)


def compare(name, expected, placements, mesh):
    function, tensors = CASES[name]
    whole, gradients, after = expected

    def spread(t):
        # As the first tensor is, where it has the same sizes; else every process has all of it.
        alike = t.shape == tensors[0].shape
        return distribute_tensor(t, mesh, placements if alike else [Replicate()] * mesh.ndim)

    y, found, then = run(function, [spread(t) for t in tensors])
    if name != "places":
        assert y.placements == placements
    rounded = name.split(",")[0] in ROUNDED
    for got, want in zip([y, *found], [whole, *gradients], strict=True):
        tolerance = {"rtol": 1e-5, "atol": 1e-5} if rounded else {"rtol": 0.0, "atol": 0.0}
        torch.testing.assert_close(got.full_tensor(), want, **tolerance)
    assert torch.equal(then, after)


def compare_layers(mesh):
    """Each process computes its part of a layer; where a sum is over processes, it is summed."""
    count = 0
    for name, (function, tensors, ways) in of_layers().items():
        whole, gradients, after = run(function, tensors)
        # torch flattens no dimension that is cut along both dimensions of a mesh.
        combined = itertools.permutations(ways, mesh.ndim)
        for by_mesh in combined:
            try:
                places = list(zip(*by_mesh, strict=True))[: len(tensors)]
                given = [
                    distribute_tensor(t, mesh, p) for t, p in zip(tensors, places, strict=True)
                ]
                y, found, then = run(function, given)
                exact = "noise" in name or "embedding" in name
                close = {"rtol": 0.0, "atol": 0.0} if exact else {"rtol": 1e-5, "atol": 1e-5}
                torch.testing.assert_close(y.full_tensor(), whole, **close)
                for got, want in zip(found, gradients, strict=True):
                    if want is not None:
                        torch.testing.assert_close(got.full_tensor(), want, rtol=1e-5, atol=1e-5)
                assert torch.equal(then, after)
            except Exception as error:
                raise AssertionError(f"{name}, {by_mesh}: {error}") from error
            count += 1
    return count


def parallel(mesh):
    """Modules that torch's own styles of tensor parallelism spread."""
    style = ColwiseParallel(use_local_output=False)
    by_row = RowwiseParallel(input_layouts=Replicate(), use_local_output=False)
    layer, x = td.nn.VariationalLinear(8, 6, init_log_sigma2=-1.0), torch.randn(4, 3, 8)
    with torch.no_grad():
        layer.log_sigma2[:2] += 9.0  # pruned, in some of the processes only
    torch.manual_seed(3)
    y = layer(x)
    of_spread = parallelize_module(copy.deepcopy(layer), mesh, style)
    torch.manual_seed(3)
    z = of_spread(x)
    assert z.placements == (Shard(2),)
    torch.testing.assert_close(z.full_tensor(), y)
    for of, out in ((of_spread, z.full_tensor()), (layer, y)):
        (out.sum() + td.nn.kl(of)).backward()
    torch.testing.assert_close(td.nn.kl(of_spread), td.nn.kl(layer))
    for one, other in zip(of_spread.parameters(), layer.parameters(), strict=True):
        torch.testing.assert_close(one.grad.full_tensor(), other.grad)
    assert 0.0 < layer.sparsity() < 1.0
    assert of_spread.sparsity() == pytest.approx(layer.sparsity())
    of_spread = parallelize_module(copy.deepcopy(layer), mesh, by_row)
    z = of_spread(x, key=td.Key(2))
    torch.testing.assert_close(z.full_tensor(), layer(x, key=td.Key(2)))
    around = {"padding": 1, "padding_mode": "circular"}  # torch pads no DTensor so
    layer, x = td.nn.VariationalConv2d(2, 3, 3, **around), torch.randn(4, 2, 6, 5)
    y = layer(x, key=td.Key(2))
    of_spread = distribute_module(copy.deepcopy(layer), mesh)
    for dim in range(4):
        z = of_spread(distribute_tensor(x, mesh, [Shard(dim)]), key=td.Key(2))
        torch.testing.assert_close(z.full_tensor(), y)
    drop = td.nn.EmbeddingDropout(torch.nn.Embedding(7, 6), 0.5)
    words = torch.tensor([[3, 0, 3], [6, 1, 2]])
    y = drop(words, key=td.Key(2))
    of_spread = distribute_module(copy.deepcopy(drop), mesh)
    z = of_spread(distribute_tensor(words, mesh, [Shard(0)]), key=td.Key(2))
    assert torch.equal(z.full_tensor(), y)
    # The outputs of torch's styles are local by default, and so are those of the dropout then.
    of_spread = parallelize_module(copy.deepcopy(drop), mesh, {"emb": ColwiseParallel()})
    z = DTensor.from_local(of_spread(words, key=td.Key(2)), mesh, [Shard(2)])
    assert torch.equal(z.full_tensor(), y)
    style = ColwiseParallel(use_local_output=False)
    of_spread = parallelize_module(copy.deepcopy(drop), mesh, {"emb": style})
    before = torch.get_rng_state()
    with pytest.raises(ArgumentTypeError, match=r"`words` to be a DTensor, as `emb\(words\)` is"):
        of_spread(words)
    assert torch.equal(torch.get_rng_state(), before)


def sums(mesh):
    """A sum over processes is summed before it is dropped."""
    x = DTensor.from_local(X, mesh, [Partial()] * mesh.ndim)
    torch.manual_seed(3)
    y = F.dropout(x, 0.4).full_tensor()
    torch.manual_seed(3)
    assert torch.equal(y, F.dropout(X * mesh.size(), 0.4))


def compiled(mesh):
    """A compiled call has the draws of the whole, where the parts differ in size, too."""
    x = numbers(5, 7)
    for placement, key in itertools.product((Shard(0), Shard(1), Replicate()), (td.Key(3), None)):

        def function(x, key=key):
            return F.dropout(x, 0.4, key=key)

        torch.manual_seed(3)
        expected = function(x)
        spread = distribute_tensor(x, mesh, [placement] * mesh.ndim)
        torch.manual_seed(3)
        y = torch.compile(function, backend="aot_eager")(spread)
        assert torch.equal(y.full_tensor(), expected), (placement, key)


def cut_twice(mesh):
    """FSDP of what was tensor-parallel: a process has no one range of the dimension."""
    first, second = mesh.size(0), mesh.size(1)
    row, column = mesh.get_coordinate()
    whole = numbers(8, 5, 6)
    by_column = [part.chunk(first)[row] for part in whole.chunk(second)]
    strided = _StridedShard(0, split_factor=second)
    for inner, local in ((Shard(0), by_column[column]), (Replicate(), torch.cat(by_column))):
        layout = {"shape": whole.shape, "stride": whole.stride(), "run_check": False}
        x = DTensor.from_local(local, mesh, [strided, inner], **layout)
        torch.manual_seed(3)
        expected = F.dropout(whole, 0.4)
        torch.manual_seed(3)
        try:
            y = F.dropout(x, 0.4)
        except ArgumentValueError:  # torch 2.10 gathers no such shards
            assert inner == Replicate()
            assert torch.__version__ < "2.11"
            continue
        assert y.placements == x.placements
        rows = expected.chunk(second)
        parts = [part.chunk(first)[row] for part in rows]
        assert torch.equal(y.to_local(), parts[column] if inner == Shard(0) else torch.cat(parts))


def masked(mesh):
    """A mask of bools has no gradient; the gradient of a constant is not computed."""
    x = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    key = td.Key(3)
    expected = F.scaled_dot_product_attention(x, x, x, mask, 0.5, dropout_key=key)
    q = x.clone().requires_grad_()
    y = F.scaled_dot_product_attention(q, x, x, mask, 0.5, dropout_key=key)
    (gradient,) = torch.autograd.grad(y.square().sum(), q)
    placed = [Shard(0)] + [Replicate()] * (mesh.ndim - 1)
    k = distribute_tensor(x, mesh, placed)
    q = distribute_tensor(x, mesh, placed).requires_grad_()
    m = distribute_tensor(mask, mesh, [Replicate()] * mesh.ndim)
    y = F.scaled_dot_product_attention(q, k, k, m, 0.5, dropout_key=key)
    torch.testing.assert_close(y.full_tensor(), expected)
    (found,) = torch.autograd.grad(y.square().sum(), q)
    torch.testing.assert_close(found.full_tensor(), gradient)


def layers(mesh):
    """Attention as a layer: its projections are torch's, its heads views of them."""
    layer = td.nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
    x = torch.randn(12, 4, 8)  # torch flattens even shards only
    for need_weights in (True, False):
        torch.manual_seed(3)
        y, weights = layer(x, x, x, need_weights=need_weights)
        spread = distribute_tensor(x, mesh, [Shard(0)] * mesh.ndim)
        torch.manual_seed(3)
        of_spread = distribute_module(copy.deepcopy(layer), mesh)
        z, theirs = of_spread(spread, spread, spread, need_weights=need_weights)
        torch.testing.assert_close(z.full_tensor(), y)
        z.square().sum().backward()
        layer.zero_grad()
        y.square().sum().backward()
        for one, other in zip(of_spread.parameters(), layer.parameters(), strict=True):
            torch.testing.assert_close(one.grad.full_tensor(), other.grad)
        if need_weights:
            torch.testing.assert_close(theirs.full_tensor(), weights)


def refused(mesh):
    """Tensors of which some are spread; nothing is drawn."""
    attend = F.scaled_dot_product_attention
    spread = distribute_tensor(X, mesh, [Replicate()] * mesh.ndim)
    before = torch.get_rng_state()
    for call, message in (
        (lambda: F.dropout_add(spread, X), "`residual` to be a DTensor, as `input` is, got"),
        (lambda: F.dropout_add(X, spread), "`residual` to be not a DTensor, as `input` is not"),
        (lambda: F.dropout_add(spread, spread, bias=X[0, 0]), "`bias` to be a DTensor"),
        (lambda: F.zoneout(spread, X), "`old` to be a DTensor"),
        (lambda: F.concrete_dropout(spread, X), "`p_logit` to be a DTensor"),
        (lambda: F.variational_dropout(spread, X), "`log_alpha` to be a DTensor"),
        (lambda: attend(spread, spread, X, None, 0.5), "`value` to be a DTensor, as `query` is"),
    ):
        with pytest.raises(ArgumentTypeError, match=message):
            call()
    alone = DeviceMesh("cpu", [0])
    elsewhere = distribute_tensor(X, alone, [Replicate()])
    if dist.get_rank() > 0:
        with pytest.raises(ArgumentValueError, match="on a mesh that has this process"):
            F.zoneout(elsewhere, elsewhere)
    with pytest.raises(ArgumentValueError, match="`old` to be on the mesh of `new`"):
        F.zoneout(spread, elsewhere)
    assert torch.equal(torch.get_rng_state(), before)


def refused_layers(mesh):
    """Layers with tensors that are not spread, or of which torch's result would be wrong."""

    def spread(x, placement=None):
        return distribute_tensor(x, mesh, [placement or Replicate()] * mesh.ndim)

    x, weight, words = numbers(4, 6), numbers(5, 6), torch.tensor([1, 0, 2, 1])
    maps, kernels = numbers(4, 2, 6, 6), numbers(4, 2, 3, 3)
    lstm = td.nn.LSTM(6, 3, dropout=0.5, num_layers=2)
    state = torch.zeros(2, 3)
    of_spread = copy.deepcopy(lstm)
    distribute_module(of_spread, mesh)
    rates = torch.linspace(0.0, 2.0, 6)
    words_dropped = td.nn.EmbeddingDropout(torch.nn.Embedding(5, 6), 0.5)
    linear, embedded = F.variational_linear, F.embedding_dropout
    before = torch.get_rng_state()
    for call, message in (
        (lambda: linear(spread(x), weight, weight), "`weight` to be a DTensor, as `input` is, got"),
        (lambda: linear(x, weight, spread(weight)), "`log_sigma2` to be not a DTensor, as `input`"),
        (
            lambda: linear(spread(x), spread(weight), spread(weight), numbers(5), False),
            "`bias` to be a DTensor",
        ),
        (lambda: F.variational_conv2d(spread(maps), kernels, kernels), "`weight` to be a DTensor"),
        (lambda: embedded(words, spread(weight)), "`weight` to be not a DTensor, as `input`"),
        (lambda: embedded(spread(words), weight), "`weight` to be a DTensor, as `input`"),
        (lambda: words_dropped(spread(words)), "`emb.weight` to be a DTensor, as `words` is"),
        (lambda: F.dropout(spread(x), rates), "`p` to be a DTensor, as `input` is, got"),
        (lambda: F.dropout(x, spread(rates)), "`p` to be not a DTensor, as `input` is not, got"),
        (lambda: lstm(spread(x)), r"`input` to be .* input.to_local\(\) and, as batch_start, "),
        (lambda: lstm.eval()(spread(x)), "`input` to be not a DTensor"),
        (lambda: lstm(x, (state, spread(state))), r"`hx` to be .* hx.to_local\(\)"),
        (lambda: of_spread(x), "`weight_ih_l0` to be not a DTensor, .* replicate it, got"),
    ):
        with pytest.raises(ArgumentTypeError, match=message):
            call()
    with pytest.raises(ArgumentValueError, match="`sparse` to be False"):
        embedded(spread(words), spread(weight), sparse=True)
    with pytest.raises(ArgumentValueError, match="`scale_grad_by_freq` to be False where"):
        embedded(spread(words, Shard(0)), spread(weight), scale_grad_by_freq=True)
    # Only some of the processes have a p above 1.
    with pytest.raises(ArgumentValueError, match=r"`p` to be in .* got 1.2.* \(DTensor\)\)"):
        F.dropout(spread(x), spread(rates, Shard(0)))
    assert torch.equal(torch.get_rng_state(), before)


def work(rank, store, sizes, thorough):
    torch.set_num_threads(1)
    world = math.prod(sizes)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    mesh = init_device_mesh("cpu", sizes)
    count = 0
    for name, (function, tensors) in CASES.items():
        expected = run(function, tensors)
        kinds = [*map(Shard, range(tensors[0].ndim)), Replicate()]
        if not thorough:
            kinds = [kinds[len(name) % len(kinds)], Shard(tensors[0].ndim - 1)]
        for placements in itertools.product(kinds, repeat=mesh.ndim):
            try:
                compare(name, expected, placements, mesh)
            except Exception as error:
                raise AssertionError(f"{name}, {placements}: {error}") from error
            count += 1
    count += compare_layers(mesh)
    torch.manual_seed(0)
    layers(mesh)
    if mesh.ndim == 1:
        parallel(mesh)
    masked(mesh)
    sums(mesh)
    compiled(mesh)
    refused(mesh)
    refused_layers(mesh)
    if mesh.ndim == 2:
        cut_twice(mesh)
    dist.destroy_process_group()
    return count


def child(*arguments):
    code = 1
    try:
        count = work(*arguments)
        if arguments[0] == 0:
            print("as the whole:", count, flush=True)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    store, amount, *given = sys.argv[1:]
    sizes = tuple(map(int, given))
    processes = []
    gc.freeze()  # imported objects are not garbage, and stay shared
    for rank in range(math.prod(sizes)):
        # A copy of this process has imported everything.
        processes.append(os.fork())
        if processes[-1] == 0:
            child(rank, store, sizes, amount == "all")
    failed = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    sys.exit(any(failed))
