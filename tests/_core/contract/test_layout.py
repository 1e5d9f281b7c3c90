"""The one strided map: shared draws, shards and micro-batches."""

import itertools
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchdropout import MaskLayout
from torchdropout._core.contract.layout import row_major
from torchdropout.errors import ArgumentTypeError, ArgumentValueError

shapes = st.lists(st.integers(1, 5), max_size=4).map(tuple)


@given(shapes)
def test_a_whole_tensor_counts_its_elements_in_logical_order(shape):
    layout = MaskLayout.of(shape)
    indices = [layout.index(c) for c in itertools.product(*map(range, shape))]
    assert indices == list(range(len(indices)))


@given(shapes, st.data())
def test_shared_dimensions_do_not_count(shape, data):
    shared = data.draw(st.sets(st.integers(0, max(len(shape) - 1, 0)), max_size=len(shape)))
    layout = MaskLayout.of(shape, broadcast_dims=tuple(shared))
    seen = {}
    for c in itertools.product(*map(range, shape)):
        group = tuple(0 if d in shared else i for d, i in enumerate(c))
        seen.setdefault(group, set()).add(layout.index(c))
    assert all(len(indices) == 1 for indices in seen.values())
    assert sorted(i for indices in seen.values() for i in indices) == list(range(len(seen)))


@given(shapes.filter(bool), st.data())
def test_a_part_has_the_indices_of_the_whole(shape, data):
    start = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    whole = MaskLayout.of(shape)
    part = whole.at(start)
    for c in itertools.product(*(range(n - s) for n, s in zip(shape, start, strict=True))):
        assert part.index(c) == whole.index([a + b for a, b in zip(c, start, strict=True)])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: MaskLayout(-1, ()), ArgumentValueError, "`base` to be in [0, 2**64), got base=-1"),
        (lambda: MaskLayout(0.0, ()), ArgumentTypeError, "`base` to be an integer"),
        (lambda: MaskLayout(0, [1]), ArgumentTypeError, "`strides` to be a tuple of integers"),
        (lambda: MaskLayout(0, (1.5,)), ArgumentTypeError, "got strides=(1.5,) (tuple)"),
        (lambda: MaskLayout.of((2, -3)), ArgumentValueError, "`shape` to be sizes of 0 or more"),
        (lambda: MaskLayout.of("23"), ArgumentTypeError, "`shape` to be a sequence of sizes"),
        (lambda: MaskLayout.of((2,)).at((0, 1)), ArgumentValueError, "at most 1 coordinates"),
        (lambda: MaskLayout.of((2, 3), (2,)), ArgumentValueError, "dimensions in [-2, 2)"),
        (lambda: MaskLayout.of((2, 3), (1, -1)), ArgumentValueError, "each named once"),
        (lambda: MaskLayout.of((2, 3), (True,)), ArgumentTypeError, "(integers), got broadcast_di"),
    ],
)
def test_refusals_name_the_argument_and_the_value(make, error, words):
    with pytest.raises(error) as raised:
        make()
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        (lambda: MaskLayout.of((3, 3)), (6, 8)),
        (lambda: MaskLayout.of((3, 3)), (3, 4)),
        (lambda: MaskLayout.of((3, 3)), (4, 3)),
        (lambda: MaskLayout.of((6, 8)).at((5,)), (2, 8)),
        (lambda: MaskLayout.of((6, 8)).at((2, 1)), (3, 8)),
        (lambda: MaskLayout.of((6, 8)).at((2,)).at((2, 0)), (3, 8)),
        (lambda: MaskLayout.of((6, 8, 2), (2,)).at((0, 4)), (6, 5, 2)),
    ],
)
def test_a_part_that_reaches_beyond_the_whole_is_refused_with_both_shapes(layout, shape):
    made = layout()
    assert made.shape is not None
    with pytest.raises(ArgumentValueError) as error:
        made.check_for(shape)
    assert all(str(each) in str(error.value) for each in (shape, made.start, made.shape))


def test_a_part_begins_within_the_whole():
    whole = MaskLayout.of((6, 8))
    with pytest.raises(ArgumentValueError, match=r"`start` to be within the shape \(6, 8\)"):
        whole.at((7,))
    with pytest.raises(ArgumentValueError, match=r"`start` to be within the shape \(6, 8\)"):
        whole.at((4,)).at((3,))
    whole.at((6,)).check_for((0, 8))  # the empty shard at the end


def test_a_layout_fits_each_part_of_its_whole():
    whole = MaskLayout.of((6, 8, 2), broadcast_dims=(1,))
    whole.check_for((6, 8, 2))
    whole.at((4,)).check_for((2, 8, 2))
    whole.check_for((6, 100, 2))  # all along this dimension share a draw
    whole.at((0, 50)).check_for((6, 100, 2))
    assert whole.at((4, 3)) == MaskLayout(8, (2, 0, 1))
    assert hash(whole.at((4, 3))) == hash(MaskLayout(8, (2, 0, 1)))
    MaskLayout(0, (3, 1)).check_for((6, 8))  # no whole is known
    assert MaskLayout(5, (3, 1)).at((6, 8)) == MaskLayout(31, (3, 1))


@pytest.mark.parametrize(
    ("base", "strides", "shape", "reach"),
    [
        (2**64 - 2, (1,), (2,), None),
        (2**64 - 1, (1,), (2,), f"from {2**64 - 1} to {2**64}"),
        (1, (-1,), (2,), None),
        (0, (-1,), (2,), "from -1 to 0"),
        (2, (-2, 5), (2, 2), None),
        (1, (-2, 5), (2, 2), "from -1 to 6"),
        (0, (1, 1), (2**63, 2**63), None),
        (2**64 - 1, (-1, 1), (0, 1), None),  # of no elements
        (0, (1, -1), (0, 1), None),
        (0, (1,), (1, 2), "a stride for each of the input's 2 dimensions"),
    ],
)
def test_each_index_has_64_bits(base, strides, shape, reach):
    layout = MaskLayout(base, strides)
    if reach is None:
        layout.check_for(shape)
        return
    with pytest.raises(ArgumentValueError) as error:
        layout.check_for(shape)
    assert reach in str(error.value)


def test_a_trace_records_the_sizes_of_its_example_and_warns_once():
    """And torch does not warn of each size that is read."""
    found = []

    def strides(x):
        found.append((row_major(x.shape), row_major(x.shape[:1]), row_major(x.shape, (1,))))
        return x + 1

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.jit.trace(strides, torch.ones(4, 3), check_trace=False)
    assert found == [([3, 1], [1], [1, 0])]
    assert [type(n) for strides in found[0] for n in strides] == [int] * 5
    ours = [each for each in caught if "records the mask indices" in str(each.message)]
    assert len(ours) == 2  # the first dimension alone needs none
    assert all("of shape (4, 3): an input that is larger" in str(e.message) for e in ours)
    assert {each.filename for each in ours} == {__file__}
    assert not [each for each in caught if "Converting a tensor to a Python" in str(each.message)]
