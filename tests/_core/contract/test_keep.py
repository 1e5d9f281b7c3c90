"""Thresholds, uniforms, keep bits and scales."""

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from make_vectors import HEADER, PATH, lines
from torchdropout._core.contract import keep_bit, scale, threshold, uniform
from vectors import KEEP, UNIFORM


def test_vectors_file_is_what_its_writer_writes():
    assert PATH.read_text() == HEADER + "\n".join(lines()) + "\n"


def test_uniform_vectors():
    assert len(UNIFORM) > 150
    assert all(uniform(seed, stream, index) == u for seed, stream, index, u in UNIFORM)


def test_keep_vectors():
    for seed, stream, limit, index, bits in KEEP:
        seen = [keep_bit(seed, stream, limit / 2**32, index + i) for i in range(len(bits))]
        assert "".join(str(int(bit)) for bit in seen) == bits


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


def test_scale():
    assert scale(0.0) == 1.0
    assert scale(0.1) == 1.0 / 0.9
    assert scale(1.0) == 0.0
    assert math.isfinite(scale(math.nextafter(1.0, 0.0)))
