"""Keys: frozen names of streams, and where a call's randomness comes from."""

import copy
import pickle
from dataclasses import FrozenInstanceError

import pytest
import torch

from torchdropout import Key
from torchdropout.contract import philox4x32
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


def test_fold_in_gives_distinct_keys():
    keys = {
        Key(seed, stream).fold_in(n) for seed in range(8) for stream in range(8) for n in range(64)
    }
    assert len(keys) == 8 * 8 * 64


def test_draw_takes_one_64_bit_number_of_the_generator():
    torch.manual_seed(1)
    key = Key.draw()
    state = torch.get_rng_state()
    torch.manual_seed(1)
    bits = torch.empty(1, dtype=torch.int64).random_(-(2**63), None).item()
    assert key == Key(bits % 2**64, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_draw_from_a_generator_leaves_the_default_one_alone():
    before = torch.get_rng_state()
    first = Key.draw(torch.Generator().manual_seed(5))
    assert first == Key.draw(torch.Generator().manual_seed(5))
    assert first != Key.draw(torch.Generator().manual_seed(6))
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_use_all_64_bits():
    torch.manual_seed(0)
    seeds = [Key.draw().seed for _ in range(256)]
    every, some = 2**64 - 1, 0
    for seed in seeds:
        every &= seed
        some |= seed
    # A bit that is stuck would show with probability 1 - 2**-249.
    assert (every, some) == (0, 2**64 - 1)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Key(2**64), ArgumentValueError, "`seed` to be in [0, 2**64), got seed=1844674407"),
        (lambda: Key(-1), ArgumentValueError, "got seed=-1 (int)"),
        (
            lambda: Key(0, 2**60),
            ArgumentValueError,
            "`stream` to be in [0, 2**60), got stream=1152",
        ),
        (
            lambda: Key(1.0),
            ArgumentTypeError,
            "`seed` to be an integer in [0, 2**64), got seed=1.0",
        ),
        (lambda: Key(True), ArgumentTypeError, "got seed=True (bool)"),
        (lambda: Key("7"), ArgumentTypeError, "got seed='7' (str)"),
        (lambda: Key(0).fold_in(-1), ArgumentValueError, "`n` to be in [0, 2**64), got n=-1 (int)"),
        (lambda: Key(0).fold_in(2**64), ArgumentValueError, "got n=18446744073709551616 (int)"),
        (
            lambda: Key.draw(3),
            ArgumentTypeError,
            "`generator` to be a torch.Generator, got generat",
        ),
    ],
)
def test_refusals_name_the_argument_and_the_value(make, error, words):
    before = torch.get_rng_state()
    with pytest.raises(error) as raised:
        make()
    assert words in str(raised.value)
    assert torch.equal(torch.get_rng_state(), before)
