"""Keys: frozen names of streams, and where a call's randomness comes from."""

import copy
import pickle
import re
from dataclasses import FrozenInstanceError

import pytest
import torch

from draws import draws_nothing, refused
from torchdropout import Key
from torchdropout import functional as F
from torchdropout._core.contract import philox4x32
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

BIG = Key(2**64 - 1, 2**60 - 1)


def test_is_frozen_hashable_ordered_and_prints_its_fields_in_order():
    assert repr(Key(stream=3, seed=2)) == "Key(seed=2, stream=3)"
    assert {Key(1, 2): "a"}[Key(1, 2)] == "a"
    assert sorted([Key(2), Key(1, 5), Key(1, 4)]) == [Key(1, 4), Key(1, 5), Key(2)]
    with pytest.raises(FrozenInstanceError):
        Key(1).seed = 2


@pytest.mark.parametrize("key", [Key(0), Key(7, 9), BIG])
def test_survives_pickling_and_copying(key):
    for copied in (pickle.loads(pickle.dumps(key)), copy.deepcopy(key), copy.copy(key)):
        assert copied == key
        assert torch.equal(copied.tensor(), key.tensor())
    assert len(pickle.dumps(key)) < 200


def test_tensor_holds_the_bits():
    seed, stream = BIG.tensor().tolist()
    assert (seed % 2**64, stream) == (BIG.seed, BIG.stream)
    assert BIG.tensor().device.type == "cpu"


def test_tensor_ignores_the_default_device():
    with torch.device("meta"):
        assert Key(3).tensor().device.type == "cpu"


def test_fold_in_is_the_stated_philox_call():
    seed, stream, n = 0x0123456789ABCDEF, 0xFEDCBA987654321, 2**33 + 5
    w = philox4x32((5, 2, 0x87654321, 0xFFEDCBA9), (0x89ABCDEF, 0x01234567))
    assert Key(seed, stream).fold_in(n) == Key(w[1] << 32 | w[0], (w[3] << 32 | w[2]) % 2**60)


def test_draw_takes_one_64_bit_number_of_the_generator():
    torch.manual_seed(1)
    key = Key.draw()
    state = torch.get_rng_state()
    torch.manual_seed(1)
    bits = torch.empty(1, dtype=torch.int64).random_(-(2**63), None).item()
    assert key == Key(bits % 2**64, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_draw_from_a_generator_leaves_the_default_one_alone():
    with draws_nothing():
        first, same, other = (Key.draw(torch.Generator().manual_seed(n)) for n in (5, 5, 6))
    assert first == same != other


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Key(2**64), ArgumentValueError, "`seed` to be in [0, 2**64), got seed=1844674407"),
        (lambda: Key(-1), ArgumentValueError, "got seed=-1 (int)"),
        (lambda: Key(0, 2**60), ArgumentValueError, "`stream` to be in [0, 2**60), got stream="),
        (lambda: Key(1.0), ArgumentTypeError, "seed` to be an integer in [0, 2**64), got seed=1.0"),
        (lambda: Key(True), ArgumentTypeError, "got seed=True (bool)"),
        (lambda: Key("7"), ArgumentTypeError, "got seed='7' (str)"),
        (lambda: Key(0).fold_in(-1), ArgumentValueError, "`n` to be in [0, 2**64), got n=-1 (int)"),
        (lambda: Key(0).fold_in(2**64), ArgumentValueError, "got n=18446744073709551616 (int)"),
        (lambda: Key.draw(3), ArgumentTypeError, "`generator` to be a torch.Generator, got"),
    ],
)
def test_refusals_name_the_argument_and_the_value(make, error, words):
    with refused(error, re.escape(words)):
        make()


SEEDS = torch.tensor([3, 1, -1, 2**40, 3])


@pytest.mark.parametrize(
    ("key", "same"),
    [
        (Key(torch.tensor(7), torch.tensor(9)), Key(7, 9)),
        (Key(torch.tensor(-1)), Key(2**64 - 1)),
        (Key(torch.tensor(2**64 - 2, dtype=torch.uint64), 3), Key(2**64 - 2, 3)),
        (Key(3, torch.tensor(-1)), Key(3, 2**60 - 1)),
        (Key(torch.tensor(5, dtype=torch.uint8)), Key(5)),
        (BIG.fold_in(torch.tensor(2**40 + 1)), BIG.fold_in(2**40 + 1)),
        (BIG.fold_in(torch.tensor(-1)), BIG.fold_in(2**64 - 1)),
    ],
)
def test_integers_in_tensors_are_those_integers(key, same):
    assert key == same
    assert (type(key.seed), type(key.stream)) == (int, int)
    assert hash(key) == hash(same)


X = torch.randn(5, 1, 8, generator=torch.Generator().manual_seed(0))


def test_gradients_of_each_sample_and_a_vmap_in_a_vmap():
    def loss(weight, x, n):
        return F.dropout(x @ weight, 0.5, key=BIG.fold_in(n)).square().sum()

    weight = torch.randn(8, 8)
    each = torch.vmap(torch.func.grad(loss), (None, 0, 0))(weight, X, SEEDS)
    alone = [torch.func.grad(loss)(weight, x, n) for x, n in zip(X, SEEDS, strict=True)]
    assert torch.allclose(each, torch.stack(alone), rtol=1e-5)

    def call(x, n, m):
        return F.dropout(x, 0.5, key=BIG.fold_in(n).fold_in(m))

    inner = torch.vmap(call, (None, None, 0))
    both = torch.vmap(inner, (0, 0, None))(X, SEEDS, SEEDS[:2])
    for i, j in ((0, 0), (1, 0), (2, 1)):
        assert torch.equal(both[i, j], call(X[i], SEEDS[i], SEEDS[j]))


@pytest.mark.integration
def test_compiled_a_tensor_makes_a_key_within_the_graph():
    def call(x, n):
        return torch.vmap(lambda x, n: F.dropout(x, 0.5, key=BIG.fold_in(n)))(x, n)

    compiled = torch.compile(call, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(X, SEEDS), call(X, SEEDS))
    assert torch.equal(compiled(X, SEEDS + 1), call(X, SEEDS + 1))


class TestCapture:
    """A key that the CPU draws while a CUDA graph is captured would be the same at each replay."""

    @pytest.fixture(autouse=True)
    def capturing(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)

    @pytest.mark.parametrize(
        "draw",
        [
            Key.draw,
            lambda: Key.draw(torch.Generator()),
            lambda: F.dropout(torch.ones(3, device="meta")),
            lambda: F.dropout(torch.ones(3), generator=torch.Generator()),
            lambda: F.n_m_dropout(torch.ones(4)),
            lambda: F.dropout_add(torch.ones(3), torch.ones(3)),
            lambda: F.gaussian_dropout(torch.ones(3, device="meta")),
        ],
    )
    def test_a_draw_is_refused_and_nothing_is_drawn(self, draw):
        with refused(ArgumentValueError, r"`key` .* captured in a CUDA graph, got key="):
            draw()

    def test_a_key_is_not_a_draw(self):
        y = F.dropout(torch.ones(100, device="meta"), 0.5, key=BIG)
        assert y.shape == (100,)
        F.dropout_add(torch.ones(3), torch.ones(3), key=BIG)

    def test_without_a_capture_nothing_is_refused(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
        F.dropout_add(torch.ones(3), torch.ones(3))


def test_the_compiler_captures_none_of_our_operators():
    """By a tag, in `mode="reduce-overhead"`: each draws, or reads a tensor on the CPU."""
    every = torch._C._dispatch_get_all_op_names()
    names = [name for name in every if name.startswith("torchdropout::")]
    names = [name for name in names if not name.endswith("_reference")]  # which kernels call
    lacking = []
    for name in names:
        operator, _, overload = name.removeprefix("torchdropout::").partition(".")
        operator = getattr(torch.ops.torchdropout, operator)
        if torch.Tag.cudagraph_unsafe not in getattr(operator, overload or "default").tags:
            lacking.append(name)
    assert {"torchdropout::keep_bits.tensor", "torchdropout::scale_of"} <= set(names)
    assert lacking == []
