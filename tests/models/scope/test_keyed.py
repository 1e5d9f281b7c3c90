"""A scope alone: its arguments, what it refuses and what it says, without a model that draws."""

import contextlib
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as torch_F

import torchdropout as td
from keyed_parts import Calls
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, SiteError
from torchdropout.functional._part import Axis
from torchdropout.models.scope import SiteId
from torchdropout.models.scope._given import Given, unfolded
from torchdropout.models.scope._keyed import _check_range, is_in_scope
from torchdropout.models.scope._places import Sites
from torchdropout.models.scope._watch import Draw, Place, State

TYPE, VALUE = ArgumentTypeError, ArgumentValueError
SITE = SiteId("a.b", 0)


def scope(**options):
    return td.keyed(nn.Linear(2, 2), seed=1, **options)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, None),
        ((0, 1), None),
        ((3, 8), None),
        ((0, 2**63), None),
        ((0, 2**63 + 1), VALUE),
        ((-1, 3), VALUE),
        ((3, 3), VALUE),
        ((0, 0), VALUE),
        ([0, 3], TYPE),
        ((0,), TYPE),
        ((0, 1, 2), TYPE),
        ((0, 1.0), TYPE),
        ((0, True), TYPE),
        (3, TYPE),
    ],
)
def test_ranges(value, error):
    if error is None:
        assert _check_range("batch", value) == value
        return
    with pytest.raises(error, match=r"`batch` to be \(start, total\) with 0 <= start < total"):
        _check_range("batch", value)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({}, None),
        ({"batch": (0, 8)}, "sample each, as the batch is"),
        ({"sequence": (0, 8)}, "position each, as the sequence is"),
        (
            {"batch": (0, 8), "sequence": (0, 8)},
            "sample and one position each, as the batch and the sequence are",
        ),
    ],
)
def test_a_draw_with_a_problem_is_refused_where_something_is_divided(options, what):
    model, x = Calls(lambda x: torch_F.dropout(x @ x.T, 0.5)), torch.ones(4, 8)
    with td.keyed(model, seed=1, **options):
        if what is None:
            model(x)
            return
        with pytest.raises(SiteError) as caught:
            model(x)
    assert str(caught.value).startswith(
        f"Expected draws that belong to one {what} divided, got (the model itself) #0 (dropout): "
        "dimensions 0 and 1 of its draws both follow the batch. If the model moves or picks rows, "
    )


def test_a_second_forward_without_a_batch_is_a_part_too():
    model = Calls(lambda x: torch_F.dropout(x @ x.T, 0.5))
    with td.keyed(model, seed=1):
        model(torch.ones(4, 8))
        with pytest.raises(SiteError, match="one sample each"):  # it would have the same masks
            model(torch.ones(4, 8))


@pytest.mark.parametrize(
    ("sequence", "length", "is_refused"),
    [
        (None, 100, False),
        ((2, 8), 6, False),
        ((2, 8), 7, True),
        ((2, 8), None, False),
        ((0, 8), 8, False),
    ],
)
def test_a_forward_beyond_the_sequence_is_refused(sequence, length, is_refused):
    within = scope(sequence=sequence)
    assert (within._first(), within._length()) == (sequence or (0, 0))
    assert within.places().tolist() == [0, within._first()]
    if not is_refused:
        within._check_length(length)
        return
    with pytest.raises(VALUE, match=r"got 7 positions from position 2 on with sequence=\(2, 8\)"):
        within._check_length(length)


@pytest.mark.parametrize(("sequence", "dim"), [(None, None), ((0, 4), 1)])
def test_what_a_scope_has_by_default(sequence, dim):
    within = scope(sequence=sequence)
    assert (within.batch, within.batch_dim, within.sequence_dim) == (None, 0, dim)
    assert within.key == td.Key(1).fold_in(0)
    assert (within._next, within._rows, within.forced) == (0, 0, False)
    assert scope(batch=(3, 8))._next == 3
    assert scope(batch=(3, 8)).places().tolist() == [3, 0]
    assert scope(step=5).key == td.Key(1).fold_in(5)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32, int])
def test_any_integer_is_a_number(kind):
    """Those of NumPy too: a step from an array, a seed, a part, and the numbers of samples."""
    model, x = nn.Dropout(0.5), torch.ones(4, 50)
    with td.keyed(model, seed=5, step=3, batch=(1, 9), batch_dim=0):
        expected = model(x)
    with td.keyed(model, seed=kind(5), step=kind(3), batch=(kind(1), kind(9)), batch_dim=kind(0)):
        assert torch.equal(model(x), expected)
    with td.keyed(
        model, seed=td.Key(kind(5)), step=kind(3), samples=[kind(n) for n in range(1, 5)]
    ):
        assert torch.equal(model(x), expected)
    with td.keyed(model, seed=5, step=3, samples=np.arange(1, 5)):
        assert torch.equal(model(x), expected)
    assert td.Key(kind(5), kind(3)).fold_in(kind(7)) == td.Key(5, 3).fold_in(7)
    assert type(td.Key(kind(5)).seed) is int
    layout = td.MaskLayout.of((kind(4), 6), broadcast_dims=(kind(1),)).at((kind(2),))
    assert layout == td.MaskLayout.of((4, 6), broadcast_dims=(1,)).at((2,))


def test_keys_of_sites():
    within = td.keyed(nn.Linear(2, 2), seed=td.Key(3, 9), step=4)
    key = td.Key(3, 9).fold_in(4)
    assert within.key_of(SITE) == td.Key(key.seed, SITE.stream() ^ key.stream)


@pytest.mark.parametrize("way", ["raise", "warn", "ignore"])
def test_what_is_said_of_a_draw_that_gets_no_key(way):
    within = scope(on_unreached=way)
    message = "got poisson at a.b #0, which draws from torch's generator."
    if way == "raise":
        with pytest.raises(SiteError, match=f"{message} on_unreached='ignore' leaves it as it is"):
            within.unreached(SITE, "poisson")
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in ("poisson", "poisson", "randint"):
            within.unreached(SITE, name)
    said = [str(one.message) for one in caught]
    assert len(said) == (2 if way == "warn" else 0)  # each once
    assert all(message in text for text in said[:1])


@pytest.mark.parametrize(
    ("hidden", "unseen", "is_compiled", "says"),
    [
        (False, (), True, None),
        (False, ("rand",), False, None),
        (False, ("rand", "dropout_"), True, "in a compiled model, got dropout_, rand, which the"),
        (True, (), False, "advances a generator of torch, Python or NumPy"),
    ],
)
def test_sites_that_hide_draws(hidden, unseen, is_compiled, says):
    within = scope()
    sites = Sites({}, hidden, unseen)
    if says is None:
        within._use(sites, is_compiled)
        assert within._sites is sites
        return
    with pytest.raises(SiteError, match=says):
        within._use(sites, is_compiled)


def test_whether_a_scope_is_active():
    model = nn.Linear(2, 2)
    assert not is_in_scope(model)
    within = td.keyed(model, seed=1)
    assert not is_in_scope(model)
    with within:
        assert is_in_scope(model)
        with pytest.raises(VALUE, match="no scope of this model to be active"):
            td.keyed(model, seed=2).__enter__()
        assert is_in_scope(model)
    assert not is_in_scope(model)


# --- Samples of several processes -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "last_step", "warns"), [(0, 3, True), (0, 2, False), (0, None, False), (4, 3, False)]
)
def test_a_second_scope_of_a_step_has_the_masks_of_the_first(start, last_step, warns):
    within = scope(step=3)
    within._next = start
    within._watcher.ranked = None if last_step is None else td.Key(1).fold_in(last_step)
    ranks = SimpleNamespace(place=lambda *given: given)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert within._placed(ranks, 5) == (within.key, start, 5)
    assert ["run all forwards of a step in one scope" in str(w.message) for w in caught] == (
        [True] * warns
    )
    assert [each.filename for each in caught] == [__file__] * warns  # its caller


def test_a_forward_has_the_samples_of_its_rank():
    model, x = nn.Sequential(nn.Dropout(0.5)), torch.ones(16, 4)
    within = td.keyed(model, seed=1)
    with within:
        whole = model(x)
    assert within._watcher.ranked is None
    within = td.keyed(model, seed=1)
    within._ranks = SimpleNamespace(place=lambda key, start, rows: (start + 2, 8))
    with within:
        assert torch.equal(model(x[:3]), whole[2:5])
        assert within._next == 8
        assert len(model(x[:0])) == 0  # the others have samples
        assert within._next == 16
        with pytest.raises(VALUE, match="a forward with samples, got no argument with a dimension"):
            within.before((3,), {})
    assert within._watcher.ranked == within.key


def noted(watcher):
    """What a recomputation changes."""
    is_active = watcher.mode.is_active()
    return watcher.state(), watcher.scope, watcher.observes, watcher.held, is_active


@pytest.mark.parametrize("around", ["nothing", "the scope", "the scope at rest", "another scope"])
def test_a_recomputation_is_at_the_place_of_its_forward_and_leaves_none(around):
    model = nn.Linear(2, 2)
    within, other = td.keyed(model, seed=1), td.keyed(model, seed=2)
    watcher, state = within._watcher, State(("b",), {"b": 2}, 5)
    active = {"nothing": contextlib.nullcontext(), "another scope": other}.get(around, within)
    with active:
        if around == "the scope at rest":
            watcher.rest()
        if around != "nothing":
            watcher.frames[:] = ["a"]
        before = noted(watcher)
        with within.resumed(state):
            assert noted(watcher) == (state, within, True, 1, True)
        assert noted(watcher) == before


# --- Where the samples lie, as the caller says ----------------------------------------------------


def given(dims, site=SITE):
    return Given(dims).of(site)


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        ({}, None),
        (None, None),
        ({"a": 1}, None),
        ({"a.b": 1}, ("a.b", 1, False)),
        ({"a.b#1": 1}, None),
        ({"a.b#0": 1, "a.b": 2}, ("a.b#0", 1, False)),
        ({"a.b#1": 1, "a.b": (2, "alternating")}, ("a.b", 2, True)),
    ],
)
def test_what_is_given_for_a_site(dims, expected):
    assert given(dims) == expected


@pytest.mark.parametrize(
    ("dim", "shapes", "axis"),
    [
        (0, {2: (2, 6), 3: (3, 6)}, Axis(0, 1)),
        (-1, {2: (6, 2), 3: (6, 3)}, Axis(1, 1)),
        (-2, {2: (2, 6), 3: (3, 6)}, Axis(0, 1)),
        (1, {2: (6, 8), 3: (6, 12)}, Axis(1, 4)),
        ((0, "alternating"), {2: (8, 6), 3: (12, 6)}, Axis(0, 4, True)),
        ((0, "alternating"), {2: (2, 6), 3: (3, 6)}, Axis(0, 1)),
        (0, {4: (8, 6)}, Axis(0, 2)),
        (0, {2: (2, 6), 3: None}, Axis(0, 1)),
    ],
)
def test_the_axis_that_is_given(dim, shapes, axis):
    draw = Draw("dropout", 0.5, (), len, None, inner=0)
    assert given({"a.b": dim}).axis(SITE, draw, shapes) == (axis, "")


@pytest.mark.parametrize(
    ("dim", "shapes", "inner", "says"),
    [
        (0, {2: None, 3: None}, 0, "a path of draws that the samples do not all share, got 0 for"),
        (2, {2: (2, 6), 3: (3, 6)}, 0, r"of its draws of shape \(2, 6\) or \(3, 6\), got 2"),
        (-3, {2: (2, 6), 3: (2, 6)}, 0, r"a dimension of its draws of shape \(2, 6\), got -3"),
        (0, {2: (2,), 3: (3, 1)}, 0, None),
        (1, {2: (2, 6), 3: (3, 6)}, 0, "as many places for each sample in draws of shape"),
        (1, {2: (6, 1), 3: (6, 1)}, 0, "as many places for each sample"),
        (0, {4: (6, 2)}, 0, r"of shape \(6, 2\) of 4 samples"),
        (0, {4: (2, 2)}, 0, r"of shape \(2, 2\) of 4 samples"),
        ((0, "alternating"), {2: (8, 6), 3: (12, 6)}, None, "the places of a sample are neigh"),
        ((0, "alternating"), {2: (8, 6), 3: (12, 6)}, 2, "the places of a sample are neigh"),
        ((1, "alternating"), {2: (6, 8), 3: (6, 12)}, 1, r"got \(1, 'alternating'\) for 'a.b' at"),
    ],
)
def test_an_axis_that_does_not_fit(dim, shapes, inner, says):
    draw = Draw("dropout", 0.5, (), len, None, inner=inner)
    if says is None:
        assert given({"a.b": dim}).axis(SITE, draw, shapes) == (Axis(0, 1), "")
        return
    with pytest.raises(VALUE, match=says):
        given({"a.b": dim}).axis(SITE, draw, shapes)


@pytest.mark.parametrize(
    ("dims", "is_refused"),
    [
        ({}, False),
        ({"a.b": 0}, False),
        ({"a.b#0": 0}, False),
        ({"a.c": 0}, False),  # it may draw in another forward
        ({"a.b#1": 0}, True),
        ({"a": 0}, True),
        ({"": 0}, True),
        ({"gone": 0}, True),
    ],
)
def test_names_that_are_given(dims, is_refused):
    paths = {"": None, "a": None, "a.b": None, "a.c": None}
    if not is_refused:
        Given(dims).check_names([SITE], paths)
        return
    with pytest.raises(VALUE, match=r"paths of modules that draw \('a.b#0'\), got batch_dims="):
        Given(dims).check_names([SITE], paths)


def test_a_module_around_none_that_draws_may_be_given():
    Given({"a": 0}).check_names([SiteId("ab", 0)], {"": None, "a": None, "ab": None})
    with pytest.raises(VALUE, match=r"that draw \(none\)"):
        Given({"gone": 0}).check_names([], {"": None})


def test_samples_that_alternate_get_a_dimension_of_their_own():
    def compute(x, row, other, none, **options):
        assert (x.shape, row.shape, other.shape, none) == ((3, 4, 2, 5), (3, 4, 2, 5), (5,), None)
        assert options == {"key": 7}
        return x * 2

    x = torch.arange(120.0).view(3, 8, 5)
    draw = Draw(
        "dropout", 0.5, (x, x + 1, torch.ones(5), None), compute, None, plain=True, passes=len
    )
    found, place = unfolded(draw, Place(Axis(1, 4, True), (Axis(2, 1),), (Axis(0, 2),)))
    assert (found.plain, found.passes) == (False, None)
    assert place == Place(Axis(2, 1), (Axis(3, 1),), (Axis(0, 2),))
    assert torch.equal(found.compute(*draw.tensors, key=7), x * 2)
    assert unfolded(draw, Place(Axis(1, 4, True)))[1].sequence == ()
