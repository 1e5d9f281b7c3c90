"""What is tried after a forward that runs out of memory, and the line of a warning."""

import itertools
import warnings

import pytest

from torchdropout.models.mc._halving import halving
from torchdropout.models.mc._warning import warn


def fitting(most, tried):
    """A forward in which so many fit."""

    def run(count):
        tried.append(count)
        if count > most:
            raise MemoryError
        return f"{count} fit"

    return run


@pytest.mark.parametrize(
    ("count", "most", "least", "counts"),
    [
        (8, 8, 1, [8]),
        (9, 3, 1, [9, 4, 2]),
        (9, 3, 3, [9, 4, 3]),
        (5, 1, 1, [5, 2, 1]),
        (4, 3, 3, [4, 3]),
    ],
)
def test_half_as_many_are_tried(count, most, least, counts):
    tried = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = counts[-1]
        assert halving(fitting(most, tried), count, "rows", least) == (fit, f"{fit} fit")
    assert tried == counts
    assert [str(one.message) for one in caught] == [
        f"Out of memory with {a} rows in a forward: continuing with {b}."
        for a, b in itertools.pairwise(counts)
    ]


@pytest.mark.parametrize(("count", "least"), [(1, 1), (3, 3), (2, 3)])
def test_the_least_is_not_halved(count, least):
    tried = []
    with pytest.raises(MemoryError):
        halving(fitting(0, tried), count, "rows", least)
    assert tried == [count]


@pytest.mark.parametrize("error", [RuntimeError("size mismatch"), ValueError("out of memory")])
def test_other_errors_are_not_tried_again(error):
    def run(count):
        tried.append(count)
        raise error

    tried = []
    with pytest.raises(type(error)):
        halving(run, 8, "rows")
    assert tried == [8]


def test_one_is_the_least_where_nothing_else_is_said():
    tried = []
    with pytest.warns(RuntimeWarning, match="continuing with 1"), pytest.raises(MemoryError):
        halving(fitting(0, tried), 2, "rows")
    assert tried == [2, 1]


def test_a_warning_is_at_the_line_of_the_caller():
    inside = {"__name__": "torchdropout.models.mc", "warn": warn}
    exec("def outer():\n    inner()\n\n\ndef inner():\n    warn('few')", inside)
    with pytest.warns(RuntimeWarning, match="few") as caught:
        inside["outer"]()
    assert caught[0].filename == __file__
    with pytest.warns(RuntimeWarning, match="many") as caught:
        warn("many")
    assert caught[0].filename == __file__
    other = {"__name__": "torchdropout_audit.mc", "warn": warn}
    exec(compile("def outer():\n    warn('few')", "other.py", "exec"), other)
    with pytest.warns(RuntimeWarning, match="few") as caught:
        other["outer"]()
    assert caught[0].filename == "other.py"
