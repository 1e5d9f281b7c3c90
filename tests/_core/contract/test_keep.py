"""Thresholds, uniforms, keep bits and scales."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from make_vectors import HEADER, PATH, lines
from torchdropout._core.contract import (
    compute_dtype,
    keep_bit,
    philox4x32,
    scale,
    threshold,
    uniform,
)
from vectors import KEEP, UNIFORM


def test_vectors_file_is_what_its_writer_writes():
    assert PATH.read_text() == HEADER + "\n".join(lines()) + "\n"


def test_uniform_vectors():
    assert len(UNIFORM) > 150
    assert all(uniform(seed, stream, index) == u for seed, stream, index, u in UNIFORM)


def test_keep_vectors():
    for seed, stream, limit, index, bits in KEEP:
        seen = "".join(
            str(int(keep_bit(seed, stream, limit / 2**32, index + i))) for i in range(len(bits))
        )
        assert seen == bits


@pytest.mark.parametrize(
    ("index", "word", "shift"), [(0, 0, 0), (1, 0, 16), (2, 1, 0), (7, 3, 16), (8 * 5 + 3, 1, 16)]
)
def test_uniform_is_the_stated_half_of_the_stated_word(index, word, shift):
    seed, stream = 0x0123456789ABCDEF, 0xFEDCBA987654321
    block = index // 8
    key = (0x89ABCDEF, 0x01234567)
    high = philox4x32((block, 0, 0x87654321, 0x0FEDCBA9), key)[word] >> shift & 0xFFFF
    low = philox4x32((block, 0, 0x87654321, 0x8FEDCBA9), key)[word] >> shift & 0xFFFF
    assert uniform(seed, stream, index) == high << 16 | low


def test_the_high_half_of_the_index_reaches_the_counter():
    index = 2**63 + 8
    block = index // 8
    assert block >> 32 == 2**28
    high = philox4x32((1, 2**28, 0, 0), (0, 0))[0] & 0xFFFF
    assert uniform(0, 0, index) >> 16 == high


@given(st.floats(0.0, 1.0))
def test_threshold_rounds_half_to_even(p):
    exact = Fraction(p) * 2**32
    nearest = threshold(p)
    assert abs(nearest - exact) <= Fraction(1, 2)
    if abs(nearest - exact) == Fraction(1, 2):
        assert nearest % 2 == 0


def test_threshold_at_the_ends():
    assert threshold(0.0) == 0
    assert threshold(1.0) == 2**32
    assert threshold(2.0**-33) == 0  # the tie goes to the even neighbour
    assert threshold(3 * 2.0**-33) == 2


def test_threshold_decides_by_strictly_below():
    seed, stream, index = 5, 6, 7
    u = uniform(seed, stream, index)
    assert keep_bit(seed, stream, u / 2**32, index)
    assert not keep_bit(seed, stream, (u + 1) / 2**32, index)


def test_scale():
    assert scale(0.0) == 1.0
    assert scale(0.1) == 1.0 / 0.9
    assert scale(1.0) == 0.0
    assert math.isfinite(scale(math.nextafter(1.0, 0.0)))


def test_compute_dtype():
    narrow = (torch.float16, torch.bfloat16, torch.float32, torch.complex64, torch.complex32)
    assert {compute_dtype(d) for d in narrow} == {torch.float32}
    assert {compute_dtype(d) for d in (torch.float64, torch.complex128)} == {torch.float64}
