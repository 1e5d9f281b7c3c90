"""What a variant needs of DTensors, without one: `test_distributed.py` has them."""

import importlib
import math
import sys
from types import SimpleNamespace

import pytest
import torch

from torchdropout import Key, nn
from torchdropout import functional as F
from torchdropout._core.contract.layout import row_major
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.functional import _call, _shards
from torchdropout.functional._bernoulli import inverted
from torchdropout.functional._blocks import blocks
from torchdropout.nn import variational_dropout as layers

KEY = Key(5, 6)


def randn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def module_of(name):
    """The module, and not the function of its name."""
    return importlib.import_module(f"torchdropout.functional.{name}")


def spy(monkeypatch, module):
    """Notes what `by_parts` is called with, and calls the function with the whole."""
    calls = []

    def by_parts(function, tensors, base=0, strides=None, whole=(), shape=None, shared=()):
        calls.append(([*tensors], [*whole], shape, [*shared]))
        return function(*tensors.values(), base, strides)

    monkeypatch.setattr(module, "by_parts", by_parts)
    return calls


# By name: its module, the call, the shape of x, the tensors, and the dimensions that must be whole.
CASES = {
    "n of m": (
        *("structured_mask", lambda x: F.n_m_dropout(x, dim=1, key=KEY)),
        *((3, 8, 2), ["input"], [1]),
    ),
    "columns": (
        *("structured_mask", lambda x: F.column_dropout(x, key=KEY)),
        *((3, 8), ["input"], [1]),
    ),
    "tokens": (
        *("token_dropout", lambda x: F.token_dropout(x, key=KEY)),
        *((3, 8, 2), ["input"], [1]),
    ),
    "states": (
        *("zoneout", lambda x: F.zoneout(x, x + 1, key=KEY)),
        *((3, 8), ["new", "old"], []),
    ),
    "noise": (
        *("_learned", lambda x: F.variational_dropout(x, torch.zeros(1), key=KEY)),
        *((3, 8), ["input", "log_alpha"], []),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_choice_needs_all_of_its_dimension(monkeypatch, name):
    module, call, shape, names, whole = CASES[name]
    x = randn(*shape)
    expected = call(x)
    calls = spy(monkeypatch, module_of(module))
    assert torch.equal(call(x), expected)
    assert calls == [(names, whole, None, [])]


def test_a_choice_of_tokens_is_the_same_along_the_other_dimensions(monkeypatch):
    found = []
    of_parts = lambda part, tensors, base, strides, whole: found.append(strides)  # noqa: E731
    monkeypatch.setattr(module_of("token_dropout"), "by_parts", of_parts)
    F.token_dropout(randn(3, 8, 2, 5), key=KEY)
    assert found == [[8, 1, 0, 0]]


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("by_count", [False, True])
def test_a_block_needs_the_whole_map_and_a_count_all_channels(monkeypatch, dims, by_count):
    keyed_map = blocks(0.3, dims, 2, by_count, 0.0)
    x = randn(2, 3, *[4] * dims)
    monkeypatch.setattr(_call, "is_spread", lambda t: t is x)
    calls = []
    monkeypatch.setattr(_call, "by_parts", lambda *args: calls.append(args))
    _call.compute(x, keyed_map, 7, [1] * x.ndim, KEY)
    ((_, tensors, base, strides, whole),) = calls
    assert tensors == {"input": x, "p": None}
    assert (base, strides) == (7, [1] * x.ndim)
    assert [*whole] == [*range(1 if by_count else 2, x.ndim)]


def test_an_element_needs_nothing_but_its_own_draw(monkeypatch):
    x = randn(3, 4)
    keyed_map = inverted(0.3)._replace(is_noise=None)
    expected = _call.compute(x, keyed_map, 7, [8, 1], KEY)
    first = [True]
    monkeypatch.setattr(_call, "is_spread", lambda t: t is x and first and first.pop())
    calls = spy(monkeypatch, _call)
    assert torch.equal(_call.compute(x, keyed_map, 7, [8, 1], KEY), expected)
    assert calls == [(["input", "p"], [], None, [])]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 5, 5), (3, 5, 5)])
def test_a_convolution_needs_whole_maps_and_all_of_its_kernels(monkeypatch, training, shape):
    x, weight, bias = randn(*shape), randn(4, 3, 2, 2), randn(4)
    log_sigma2 = torch.zeros(4, 3, 2, 2)
    calls = spy(monkeypatch, module_of("variational_dropout"))
    F.variational_conv2d(x, weight, log_sigma2, bias, training=training, key=KEY)
    kernels = ["weight", "log_sigma2", "bias"]
    assert calls[0] == (["input", *kernels], [-3, -2, -1], None, kernels)
    assert calls[1:] == ([(["mean", "variance"], [], None, [])] if training else [])


def test_padding_that_is_not_zeros_needs_whole_maps(monkeypatch):
    layer = nn.VariationalConv2d(3, 4, 3, padding=1, padding_mode="circular").eval()
    x = randn(2, 3, 5, 5)
    expected = layer(x)
    calls = spy(monkeypatch, layers)
    assert torch.equal(layer(x), expected)
    assert calls == []
    monkeypatch.setattr(layers, "is_spread", lambda t: t is x)
    assert torch.equal(layer(x), expected)
    assert calls == [(["input"], [-2, -1], None, [])]


@pytest.mark.parametrize(
    ("heads", "groups", "parts", "whole"),
    [(8, 1, 3, True), (8, 8, 3, True), (8, 2, 2, True), (8, 2, 4, False), (8, 4, 2, True)],
)
def test_attention_needs_all_heads_of_a_group(monkeypatch, heads, groups, parts, whole):
    module = module_of("attention")
    asked = []
    monkeypatch.setattr(module, "pieces", lambda x, dim: asked.append(dim) or parts)
    sizes = module._Sizes((2, heads, 5, 7), (2,), heads, groups)
    assert module._groups_stay_whole(randn(1), sizes) is whole
    assert asked == [-3]


@pytest.mark.parametrize("gqa", [True, False])
@pytest.mark.parametrize("stay", [True, False])
def test_attention_needs_all_queries_and_keys(monkeypatch, gqa, stay):
    module = module_of("attention")
    q, k = randn(2, 4, 5, 8), randn(2, 2 if gqa else 4, 7, 8)
    expected = F.scaled_dot_product_attention(q, k, k, None, 0.3, enable_gqa=gqa, dropout_key=KEY)
    calls = spy(monkeypatch, module)
    monkeypatch.setattr(module, "is_spread", lambda t: t is q)
    monkeypatch.setattr(module, "_groups_stay_whole", lambda query, sizes: stay)
    y = F.scaled_dot_product_attention(q, k, k, None, 0.3, enable_gqa=gqa, dropout_key=KEY)
    assert torch.equal(y, expected)
    whole = [-2, -1] if stay or not gqa else [-2, -1, -3]
    assert calls == [(["query", "key", "value", "attn_mask"], whole, (2, 4, 5, 7), [])]


def test_in_how_many_pieces_a_dimension_lies():
    mesh = SimpleNamespace(shape=(2, 3, 5))
    placements = [SimpleNamespace(dim=1), SimpleNamespace(), SimpleNamespace(dim=1)]
    x = SimpleNamespace(ndim=3, device_mesh=mesh, placements=placements)
    assert [_shards.pieces(x, dim) for dim in (0, 1, 2, -1, -2)] == [1, 10, 1, 1, 10]


class Everywhere:
    """A placement as torch's are read: "R", or for a sum "P", which have no dimension."""

    kind = "R"

    def is_partial(self):
        return self.kind == "P"

    def is_replicate(self):
        return self.kind == "R"


class Sum(Everywhere):
    kind = "P"


class Shard(Everywhere):
    kind = "S"

    def __init__(self, dim):
        self.dim = dim


class Strided(Shard):
    kind = "T"


def placed(text):
    """Placements by a word for each: its kind, its dimension, and the factor of a strided one."""
    for word in text.split():
        one = {"R": Everywhere, "P": Sum, "S": Shard, "T": Strided}[word[0]]
        numbers = [int(number) for number in word[1:].split("/") if number]
        placement = one(*numbers[:1])
        if one is Strided:
            placement.split_factor = numbers[1]
        yield placement


def written(placements):
    return " ".join(p.kind + (str(p.dim) if hasattr(p, "dim") else "") for p in placements)


@pytest.mark.parametrize(
    ("placements", "shape", "whole", "kept", "computed"),
    [
        ("S0", None, (), "S0", "S0"),
        ("S-1 R", None, (), "S1 R", "S1 R"),
        ("P S0", None, (), "R S0", "R S0"),
        ("S1 S0", None, (1,), "S1 S0", "R S0"),
        ("S1 S0", None, (-1,), "S1 S0", "R S0"),
        ("S0", (6, 4, 5), (), "S1", "S1"),
        ("S-1", (6, 4, 5), (0,), "S2", "S2"),
        ("T0/3 S0", None, (), "T0 S0", "T0 S0"),  # the range of FSDP and tensor parallelism
        ("T0/15 S0 S0", None, (), "T0 S0 S0", "T0 S0 S0"),
        ("T0/3 S1", None, (), "T0 S1", "R S1"),
        ("T0/2 S0", None, (), "T0 S0", "R R"),
        ("S0 T0/1", None, (), "S0 T0", "S0 T0"),
        ("T0/3 S0", (6, 4, 5), (), "T0 S1", "T0 R"),
    ],
)
def test_how_the_draws_are_divided(placements, shape, whole, kept, computed, monkeypatch):
    """A strided shard that is not one range is gathered, as is what a part needs whole."""
    fake = SimpleNamespace(Shard=Shard, Replicate=Everywhere)
    monkeypatch.setitem(sys.modules, "torch.distributed.tensor", fake)
    sizes, place = (2, 3, 5), (1, 1, 0)
    mesh = SimpleNamespace(size=sizes.__getitem__, shape=sizes, get_coordinate=lambda: place)
    placements = [*placed(placements)]
    mesh.shape, place = sizes[: len(placements)], place[: len(placements)]
    lead = SimpleNamespace(shape=(4, 5), ndim=2, device_mesh=mesh, placements=placements)
    parts = _shards._Parts(lead, whole, shape)
    assert parts.shape == (shape or (4, 5))
    assert written(parts.placements) == kept
    assert written(parts.computed) == computed
    asked = []
    offsets = [2, 3, 1][: len(parts.shape)]
    monkeypatch.setattr(
        _shards._torch, "shard_offset", lambda: lambda *args: (asked.append(args), offsets)
    )
    strides = [7, 5, 100][: len(parts.shape)]
    if "T" in computed:  # torch knows where a strided shard begins
        assert parts.base(-4, strides) == 2 * 7 + 3 * 5 + (100 if shape else 0) - 4
        assert asked == [(parts.shape, mesh, parts.computed)]
        return
    numbers = torch.arange(math.prod(parts.shape)).view(parts.shape)
    for p, own, pieces in zip(parts.computed, place, mesh.shape, strict=True):
        numbers = numbers.chunk(pieces, p.dim)[own] if hasattr(p, "dim") else numbers
    assert parts.base(-4, row_major(parts.shape)) == int(numbers.flatten()[0]) - 4
    assert asked == []


def test_gradients_of_parts_are_laid_out_as_the_parts_are():
    """And are there for all parts that have one: what follows is the same in all processes."""
    leaf, other, constant = randn(3, 2).requires_grad_(), randn(4).requires_grad_(), randn(5)
    part = leaf.t()
    found = _shards._Alike.apply(part, other, constant)
    assert all(map(torch.equal, found, (part, other, constant)))
    assert [x.requires_grad for x in found] == [True, True, False]
    gradient = torch.arange(6.0).view(2, 3)
    of_part, of_other = torch.autograd.grad(found[0], (part, other), gradient)
    assert torch.equal(of_part, gradient)
    assert of_part.stride() == part.stride() == (1, 2)
    assert torch.equal(of_other, torch.zeros(4))
    assert _shards._laid_out(gradient, (3, 1)) is gradient


@pytest.mark.parametrize("is_imported", [True, False])
def test_what_is_spread(monkeypatch, is_imported):
    class Spread(torch.Tensor):
        pass

    if is_imported:
        fake = SimpleNamespace(DTensor=Spread)
        monkeypatch.setitem(sys.modules, "torch.distributed.tensor", fake)
    else:
        monkeypatch.delitem(sys.modules, "torch.distributed.tensor", raising=False)
    x = torch.ones(2)
    assert _shards.is_spread(x.as_subclass(Spread)) is is_imported
    for other in (x, torch.nn.Parameter(x), torch.nn.Buffer(x), None):
        assert _shards.is_spread(other) is False


@pytest.mark.parametrize(("strides", "used"), [(None, [5, 1]), ([1, 4], [1, 4])])
def test_a_process_calls_the_function_with_its_parts(monkeypatch, strides, used):
    x, weight = randn(4, 5), randn(3)

    class Parts:
        def __init__(self, lead, whole, shape):
            assert (lead, whole, shape) == (x, [1], None)
            self.shape = (4, 5)

        def of(self, t, shared):
            return t * 10 if shared else t + 1

        def base(self, base, strides):
            return base, strides

        def joined(self, found, lead):
            return found, lead

    def function(*given):
        return given

    monkeypatch.setattr(_shards, "are_spread", lambda tensors: "input" in tensors)
    monkeypatch.setattr(_shards, "_Parts", Parts)
    tensors = {"input": x, "bias": None, "weight": weight}
    found, lead = _shards.by_parts(function, tensors, 7, strides, [1], shared=["weight"])
    assert torch.equal(lead, x + 1)
    assert torch.equal(found[0], x + 1)
    assert torch.equal(found[2], weight * 10)
    assert (found[1], *found[3:]) == (None, (7, used), used)


def test_a_sparse_tensor_is_refused_before_the_parts(monkeypatch):
    sparse = torch.eye(2).to_sparse()
    with pytest.raises(ArgumentTypeError, match="`old` to be a dense tensor"):
        _shards.by_parts(pytest.fail, {"new": randn(2, 2), "bias": None, "old": sparse})
    monkeypatch.setattr(_shards, "is_spread", lambda x: x is not sparse)
    assert _shards.whole(sparse) is sparse
    assert _shards.whole(SimpleNamespace(full_tensor=lambda: 5)) == 5


class Given:
    """A DTensor, which notes how it is spread anew, and what its gradient is."""

    def __init__(self, shape, mesh=None, error=None):
        self.shape, self.ndim = shape, len(shape)
        self.device_mesh = mesh
        self.placements, self.error = (), error

    def redistribute(self, placements):
        if self.error is not None:
            raise self.error
        self.placements = placements
        return self

    def to_local(self, grad_placements):
        return written(self.placements), written(grad_placements)


def parts_of(monkeypatch, placements, shape, stride=(5, 1), whole=()):
    fake = SimpleNamespace(Shard=Shard, Replicate=Everywhere, Partial=Sum, DTensor=Result)
    monkeypatch.setitem(sys.modules, "torch.distributed.tensor", fake)
    lead = SimpleNamespace(
        shape=shape,
        ndim=len(shape),
        device_mesh=SimpleNamespace(size=(2, 3, 5).__getitem__),
        placements=[*placed(placements)],
        stride=lambda: stride,
    )
    return _shards._Parts(lead, whole, None)


@pytest.mark.parametrize(
    ("placements", "whole", "shape", "shared", "expected"),
    [
        ("S0", (4, 5), (4, 5), False, ("S0", "S0")),
        ("S0", (4, 5), (1, 5), False, ("R", "P")),
        ("S0", (4, 5), (5,), False, ("R", "P")),
        ("S0", (4, 5), (4, 5), True, ("R", "P")),
        ("S1 R", (4, 5), (5,), False, ("S0 R", "S0 R")),
        ("S1", (4, 5), (1,), False, ("R", "P")),
        ("S0", (1, 5), (1, 5), False, ("S0", "S0")),
        ("S0", (2, 5), (2, 5), False, ("S0", "S0")),
        ("S0", (2, 5), (1, 5), False, ("R", "P")),
        ("T0/3 S0", (4, 5), (4, 5), False, ("T0 S0", "T0 S0")),
    ],
)
def test_what_a_process_needs_of_a_tensor(placements, whole, shape, shared, expected, monkeypatch):
    """What all parts share has a gradient that is the sum of theirs."""
    assert parts_of(monkeypatch, placements, whole).of(Given(shape), shared) == expected


def test_shards_that_torch_cannot_gather(monkeypatch):
    parts = parts_of(monkeypatch, "S0", (4, 5))
    with pytest.raises(ArgumentValueError, match=r"DTensors whose shards torch .* can gather"):
        parts.of(Given((4, 5), error=AssertionError()), False)


class Result:
    """What a DTensor is made of."""

    @classmethod
    def from_local(cls, part, mesh, placements, run_check, shape, stride):
        self = cls()
        self.part, self.made = part, (written(placements), tuple(shape), tuple(stride))
        assert run_check is False
        return self

    def redistribute(self, placements):
        self.made = (*self.made, written(placements))
        return self


@pytest.mark.parametrize(
    ("placements", "stride", "whole", "part", "local", "expected"),
    [
        ("S0", (5, 1), (), (2, 5), (2, 5), ("S0", (4, 5), (5, 1), "S0")),
        ("S0", (1, 4), (), (5, 2), (5, 2), ("S0", (4, 5), (1, 4), "S0")),
        ("S0", (1, 4), (), (2, 5), (5, 2), ("S0", (4, 5), (5, 1), "S0")),
        ("S0", (1, 4), (), (5, 2), (2, 5), ("S0", (4, 5), (5, 1), "S0")),
        ("S0", (5, 1), (), (2,), (2, 5), ("S0", (4,), (1,), "S0")),
        ("S1", (5, 1), (), (4,), (4, 3), ("R", (4,), (1,), "S1")),
        ("S1 S0", (5, 1), (1,), (2, 5), (2, 5), ("R S0", (4, 5), (5, 1), "S1 S0")),
        ("S0", (5, 1), (1,), (2, 3), (2, 5), ("S0", (4, 3), (3, 1), "S0")),
    ],
)
def test_the_whole_of_what_the_parts_gave(
    placements, stride, whole, part, local, expected, monkeypatch
):
    """Sizes in falling order are those of a transposed tensor, whose order in memory is kept."""

    def laid_out(sizes):
        transposed = sizes == (5, 2)
        return torch.ones(sizes).t() if transposed else torch.ones(sizes)

    parts = parts_of(monkeypatch, placements, (4, 5), stride, whole)
    found, of_lead = laid_out(part), laid_out(local)
    y = parts.joined(found, of_lead)
    assert y.made == expected
    assert torch.equal(y.part, found)
    assert (y.part is found) or expected[2] != stride
    assert y.part.is_contiguous() or expected[2] == stride
    first, other = parts.joined((found, found), of_lead)
    assert (first.made, other.made) == (expected, expected[:3])


HERE, ELSEWHERE = (SimpleNamespace(get_coordinate=lambda n=n: n) for n in ([0], None))
SPREAD, PLAIN = Given((4, 5), HERE), torch.ones(4, 5)


@pytest.mark.parametrize(
    ("lead", "other", "error", "words"),
    [
        (SPREAD, SPREAD, None, True),
        (SPREAD, None, None, True),
        (PLAIN, PLAIN, None, False),
        (PLAIN, None, None, False),
        (SPREAD, PLAIN, ArgumentTypeError, "`p` to be a DTensor, as `input` is,"),
        (PLAIN, SPREAD, ArgumentTypeError, "`p` to be not a DTensor, as `input` is not,"),
        (Given((4, 5), ELSEWHERE), None, ArgumentValueError, "a mesh that has this process"),
        (SPREAD, Given((4, 5), ELSEWHERE), ArgumentValueError, "on the mesh of `input`"),
    ],
)
def test_all_tensors_of_a_call_are_spread_or_none(lead, other, error, words, monkeypatch):
    monkeypatch.setattr(_shards, "is_spread", lambda x: isinstance(x, Given))
    tensors = {"input": lead, "p": other}
    if error is None:
        assert _shards.are_spread(tensors) is words
    else:
        with pytest.raises(error, match=words):
            _shards.are_spread(tensors)


@pytest.mark.parametrize(
    ("replicated", "by_freq", "sparse", "name"),
    [
        ((True, True), True, False, None),
        ((True, False), False, False, None),
        ((True, False), True, False, "scale_grad_by_freq"),
        ((True, True), False, True, "sparse"),
    ],
)
def test_a_table_whose_gradient_torch_cannot_compute(replicated, by_freq, sparse, name):
    words = SimpleNamespace(
        placements=[SimpleNamespace(is_replicate=lambda each=each: each) for each in replicated]
    )
    check = module_of("embedding_dropout")._check_gradient
    if name is None:
        check(words, by_freq, sparse)
        return
    with pytest.raises(ArgumentValueError, match=f"`{name}` to be False where .*, got {name}=True"):
        check(words, by_freq, sparse)


def test_every_process_draws_for_the_whole_table(monkeypatch):
    module = module_of("embedding_dropout")
    words, weight = torch.tensor([[3, 0, 3], [1, 4, 2]]), randn(5, 2)
    expected = F.embedding_dropout(words, weight, 0.5, key=KEY)
    calls, checked = spy(monkeypatch, module), []
    asked = []
    monkeypatch.setattr(module, "are_spread", lambda tensors: asked.append([*tensors]) or True)
    monkeypatch.setattr(module, "_check_gradient", lambda *args: checked.append(args))
    y = F.embedding_dropout(words, weight, 0.5, key=KEY, scale_grad_by_freq=True)
    assert torch.equal(y, expected)
    assert calls == [(["emb(words)", "words"], [], None, [])]
    assert asked == [["input", "weight"], ["emb(words)", "words"]]
    assert [args[1:] for args in checked] == [(True, False)]
