"""functional._writing against the definition: the set of bytes of every element."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from draws import refused
from torchdropout import Key
from torchdropout import functional as F
from torchdropout.errors import ArgumentValueError
from torchdropout.functional._writing import overlaps_itself, overlaps_partially

DTYPES = (torch.float16, torch.float32, torch.float64, torch.complex128)
BYTES = bytearray(4096)

sizes = st.lists(st.integers(0, 4), max_size=4)


def places(x):
    """The address of each element, in logical order."""
    return [
        x.data_ptr() + x.element_size() * sum(map(math.prod, zip(at, x.stride(), strict=True)))
        for at in itertools.product(*map(range, x.shape))
    ]


def bytes_of(x):
    return {first + i for first in places(x) for i in range(x.element_size())}


def truly_overlaps_itself(x):
    found = places(x)
    return len(set(found)) < len(found)


def truly_overlaps_partially(a, b):
    return places(a) != places(b) and not bytes_of(a).isdisjoint(bytes_of(b))


@st.composite
def strided(draw, shape, dtype, offsets):
    """A tensor on BYTES with any strides, including zeros and overlapping ones."""
    strides = draw(st.lists(st.integers(0, 7), min_size=len(shape), max_size=len(shape)))
    count = 2048 // dtype.itemsize
    memory = torch.frombuffer(BYTES, dtype=dtype, offset=draw(offsets), count=count)
    return memory.as_strided(shape, strides, draw(st.integers(0, 7)))


@pytest.mark.integration
@settings(max_examples=500)
@given(st.data())
def test_overlaps_itself_never_misses_one(data):
    dtype = data.draw(st.sampled_from(DTYPES))
    x = data.draw(strided(data.draw(sizes), dtype, st.just(0)))
    if truly_overlaps_itself(x):
        assert overlaps_itself(x)


@pytest.mark.integration
@settings(max_examples=250)
@given(st.data())
def test_overlaps_itself_is_exact_on_permuted_slices_of_a_dense_tensor(data):
    """Every layout that indexing, slicing and transposing can make is accepted."""
    x = torch.empty(data.draw(st.lists(st.integers(0, 6), max_size=4)))
    x = x.permute(data.draw(st.permutations(range(x.ndim))))
    for dim in range(x.ndim):
        size = x.shape[dim]
        start = data.draw(st.integers(0, size))
        step = data.draw(st.integers(1, 3))
        x = x[(slice(None),) * dim + (slice(start, size, step),)]
    assert not overlaps_itself(x)
    expanded = x.unsqueeze(0).expand(data.draw(st.integers(0, 3)), *x.shape)
    assert overlaps_itself(expanded) == truly_overlaps_itself(expanded)


def test_overlaps_itself_is_exact_where_strides_interlock():
    """204 of these layouts have steps of one dimension between those of the other, and are free."""
    memory, free = torch.empty(64), 0
    for shape in itertools.product(range(1, 5), repeat=2):
        for strides in itertools.product(range(10), repeat=2):
            x = memory.as_strided(shape, strides)
            overlap = truly_overlaps_itself(x)
            assert overlaps_itself(x) == overlap
            free += not overlap
    assert free == 1210


@pytest.mark.integration
@settings(max_examples=1000)
@given(st.data())
def test_overlaps_partially_is_exact(data):
    """Once wrong: float16, shape (1,), strides (0,) and (1,) of one place: they do not overlap."""
    dtype, shape = data.draw(st.sampled_from(DTYPES)), data.draw(sizes)
    a, b = (data.draw(strided(shape, dtype, st.just(0))) for _ in range(2))
    assert overlaps_partially(a, b) == truly_overlaps_partially(a, b)
    assert overlaps_partially(b, a) == truly_overlaps_partially(a, b)
    assert not overlaps_partially(a, a)


@pytest.mark.integration
@settings(max_examples=600)
@given(st.data())
def test_overlaps_partially_is_exact_at_any_byte(data):
    """Elements of torch.frombuffer need not be aligned to their size.

    Once wrong: places are counted in whole elements, and a part of one is not seen at the ends,
    and seen between the elements of another.
    """
    dtype = data.draw(st.sampled_from(DTYPES))
    shape = data.draw(st.lists(st.integers(0, 3), max_size=2))
    a, b = (data.draw(strided(shape, dtype, st.integers(0, 40))) for _ in range(2))
    assert overlaps_partially(a, b) == truly_overlaps_partially(a, b)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_neighbours_of_a_byte_apart(n):
    """Once wrong: [-3] with n = 1 and others, where one byte of the last element is shared."""
    for distance in range(-4 * n - 5, 4 * n + 6):
        a = torch.frombuffer(BYTES, dtype=torch.float32, offset=1024, count=n)
        b = torch.frombuffer(BYTES, dtype=torch.float32, offset=1024 + distance, count=n)
        assert overlaps_partially(a, b) == (0 < abs(distance) < 4 * n)


VIEWS = {
    "column halves": (lambda m: (m[:, :4], m[:, 4:]), False),
    "even and odd columns": (lambda m: (m[:, ::2], m[:, 1::2]), False),
    "even and odd rows": (lambda m: (m[::2], m[1::2]), False),
    "triangles of steps": (lambda m: (m.view(64)[1:63:3], m.view(64)[2:64:3]), False),
    "a column twice": (lambda m: (m[:, :4], m[:, 3:7]), True),
    "rows moved by one": (lambda m: (m[:-1], m[1:]), True),
    "a transpose": (lambda m: (m, m.t()), True),
    "steps that meet": (lambda m: (m.view(64)[:40:3], m.view(64)[5:33:2]), True),
    "one element everywhere": (lambda m: (m[0, :1].expand(4), m[0, :4]), True),
    "a clone": (lambda m: (m, m.clone()), False),
    "another view of the same": (lambda m: (m, m.view(64).view(8, 8)), False),
    # Once wrong: the stride of a dimension of size 1 has no meaning, but was compared.
    "one row, by expand": (lambda m: (m[:1], m[0].expand(1, 8)), False),
    "one row, by transpose": (lambda m: (m[:, :1].t(), m[:, 0].unsqueeze(0)), False),
    "nothing": (lambda m: (m[:0], m[:0]), False),
}


@pytest.mark.parametrize("case", VIEWS)
def test_overlaps_partially_in_views_as_people_make_them(case):
    make, expected = VIEWS[case]
    a, b = make(torch.zeros(8, 8))
    assert truly_overlaps_partially(a, b) is expected
    assert overlaps_partially(a, b) is expected
    assert overlaps_partially(b, a) is expected


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "gaussian_dropout"])
@pytest.mark.parametrize("key", [None, Key(7)])
def test_in_place_elements_have_their_own_places(name, key):
    """Torch refuses to write into an expanded tensor, but not into this one."""
    base = torch.arange(1.0, 12.0)
    view = base.as_strided((4, 4), (2, 1))
    with refused(ArgumentValueError, "`input` to be a tensor whose elements each have"):
        getattr(F, name)(view, 0.5, inplace=True, key=key)
    assert torch.equal(base, torch.arange(1.0, 12.0))
    # No two places of this one coincide, though each dimension reaches beyond a step of the other.
    apart = base.as_strided((2, 3), (3, 2))
    expected = getattr(F, name)(apart.clone(), 0.5, key=Key(1))
    assert torch.equal(getattr(F, name)(apart, 0.5, inplace=True, key=Key(1)), expected)
