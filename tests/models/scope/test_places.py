"""The sites of a model, and what several probes of it say of them."""

import contextlib
import itertools

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from torchdropout._tools.process_state import TORCHS
from torchdropout.errors import SiteError
from torchdropout.functional._part import Axis
from torchdropout.models.scope._places import (
    Place,
    Probe,
    Site,
    SiteId,
    Sites,
    _altered,
    _axis,
    _is_numeric,
    _taken,
    _with_positions,
    norms_still,
    of_packed,
    unchanged,
)
from torchdropout.models.scope._watch import Draw

A, B, C = SiteId("a", 0), SiteId("a", 1), SiteId("", 0)


def site(id, kind="dropout", shape=(4, 8), p=0.5, place=None):
    return Site(id, kind, p, shape, Place(None) if place is None else place)


def sites(*found, single=False, hidden=False, unseen=()):
    made = Sites({each.id: each for each in found}, hidden, unseen)
    made.single = single
    return made


def test_sites_are_a_mapping_in_the_order_in_which_they_draw():
    found = sites(site(B), site(C, "rrelu", p=0.2), site(A), unseen=["rand", "rand"])
    assert list(found) == [B, C, A]
    assert len(found) == 3
    assert found[C] == site(C, "rrelu", p=0.2)
    assert found.get(A) == site(A)
    assert found.get(SiteId("b", 0)) is None
    assert found.get(SiteId("b", 0), 7) == 7
    assert found.unseen == {"rand"}
    assert found.streams == {each: each.stream() for each in (A, B, C)}
    assert repr(found).splitlines() == [
        "a #1: dropout, p=0.5",
        "(the model itself) #0: rrelu, p=0.2",
        "a #0: dropout, p=0.5",
    ]


def test_of_two_looks_the_first_says_what_both_found():
    one = sites(site(A, p=0.1), site(B, p=0.1), unseen=["rand"])
    two = sites(site(A, p=0.2, shape=(2, 8)), site(B, "rrelu", p=0.2), site(C), unseen=["randn"])
    both = one.joined(two)
    # B draws in another way in the second probe.
    assert dict(both) == {A: one[A], B: two[B], C: two[C]}
    assert both.unseen == {"rand", "randn"}
    assert both.streams.keys() == {A, B, C}
    assert dict(one) == {A: one[A], B: one[B]}
    other_rank = sites(site(A, shape=(4, 8, 2)))
    assert one.joined(other_rank)[A] == other_rank[A]


@pytest.mark.parametrize(("first", "second"), [*itertools.product([False, True], repeat=2)])
def test_two_looks_saw_one_sample_if_both_did_and_hid_something_if_one_did(first, second):
    one = sites(site(A), single=first, hidden=first)
    two = sites(site(A), single=second, hidden=second)
    assert one.joined(two).single is (first and second)
    assert one.joined(two).hidden is (first or second)


def test_places_that_a_look_with_several_samples_finds_elsewhere():
    here, there = Place(Axis(0, 1)), Place(Axis(1, 1))
    one = sites(site(A, place=here), site(B, place=here))
    one.check_places(sites(site(A, place=here), site(C, place=there)))
    with pytest.raises(SiteError, match=r"show.* where the samples lie, got a #1 \(dropout\)"):
        one.check_places(sites(site(A, place=here), site(B, place=there)))


@pytest.mark.parametrize(
    ("kind", "ndim", "aligned", "shape", "is_of"),
    [
        ("dropout", 2, True, (4, 8), True),
        ("rrelu", 2, True, (4, 8), False),
        ("dropout", 3, True, (4, 8), False),
        ("dropout", 3, False, (4, 8), True),
        ("dropout", 3, True, None, True),
    ],
)
def test_a_draw_may_be_that_of_a_site(kind, ndim, aligned, shape, is_of):
    draw = Draw(kind, 0.5, (torch.ones([2] * ndim),), lambda: None, None, aligned)
    assert site(A, shape=shape).is_of(draw) is is_of


# --- Parts of arguments ---------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "places"), [(0, [0, 0, 2]), (1, [3]), (-1, [3, 1])])
def test_places_that_are_taken(dim, places):
    x = torch.arange(12).view(3, 4)
    assert torch.equal(_taken(x, dim, places), x.index_select(dim, torch.tensor(places)))


def test_sequences_that_are_taken_of_a_packed_one():
    padded, lengths = torch.arange(24.0).view(4, 3, 2), torch.tensor([4, 3, 1])
    packed = pack_padded_sequence(padded, lengths)
    found, sizes = pad_packed_sequence(of_packed(packed, [2, 0, 0]))
    assert sizes.tolist() == [1, 4, 4]
    assert torch.equal(found[:, 1], padded[:, 0])
    assert torch.equal(found[:, 2], padded[:, 0])
    assert torch.equal(found[:1, 0], padded[:1, 2])
    assert not found[1:, 0].any()


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize(
    "x",
    [torch.zeros(3, 4), torch.randn(3, 4).double(), torch.zeros(3, 4).half(), -torch.ones(3, 4)],
)
def test_the_last_place_gets_other_numbers(x, dim):
    y = _altered(x, dim)
    end = x.shape[dim] - 1
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert torch.equal(y.narrow(dim, 0, end), x.narrow(dim, 0, end))
    last, other = x.narrow(dim, end, 1), y.narrow(dim, end, 1)
    assert bool((last != other).all())
    assert bool((last - other).abs().max() <= 0.125 * (1 + last.abs().max()))
    assert len(set((other - last).flatten().tolist())) == last.numel()


def test_places_of_a_tensor_that_processes_share(monkeypatch):
    monkeypatch.setattr("torchdropout.models.scope._places.is_spread", lambda x: True)
    x = torch.randn(3, 4)
    assert torch.equal(_taken(x, 1, [2, 0, 2]), x[:, [2, 0, 2]])
    y = _altered(x, 0)
    assert torch.equal(y[:2], x[:2])
    assert bool((y[2] != x[2]).all())


def test_integers_stay_small_and_above_zero():
    assert _altered(torch.tensor([5, 0, 0]), 0).tolist() == [5, 0, 1]
    assert _altered(torch.tensor([5, 0, 1]), 0).tolist() == [5, 0, 0]
    assert _altered(torch.tensor([5, 0, 3]), 0).tolist() == [5, 0, 2]


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        (torch.ones(2), True),
        (torch.ones(2, dtype=torch.int64), True),
        (torch.ones(2, dtype=torch.bool), False),
        (torch.ones(2, dtype=torch.complex64), False),
        (3.0, False),
    ],
)
def test_what_may_get_other_numbers(leaf, expected):
    assert _is_numeric(leaf) == expected


def test_looks_at_parts_of_the_arguments():
    x, other = torch.tensor([[1.0], [1.0], [2.0]]), torch.arange(3)
    probe = Probe(torch.nn.Dropout(0.5), (x,), {"other": [other, "name", torch.ones(2)]})
    assert not probe.differ({0: (2, [0])}, {0: (2, [1])})  # the third has equal numbers
    assert probe.differ({0: (3, [0])}, {0: (3, [1])})
    assert not probe.differ({0: (3, [0])}, {0: (3, [0, 0])})  # of other shapes
    probe = Probe(torch.nn.Dropout(0.5), (x,), {})
    taken = {0: (3, [0, 2])}
    ((_, (inputs, of_module)),) = probe.seen(taken).values()
    ((_, (altered, _)),) = probe.seen(taken, altered=True).values()
    assert inputs.tolist() == of_module.tolist() == [[1.0], [2.0]]
    assert altered[0] == 1.0
    assert altered[1] != 2.0
    assert probe._part(taken)[0][0].tolist() == [[1.0], [2.0]]  # they are altered only there


# --- The dimension of the samples -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("two", "three", "axis"),
    [
        ((2, 8), (3, 8), Axis(0, 1)),
        ((8, 2), (8, 3), Axis(1, 1)),
        ((8, 12), (8, 18), Axis(1, 6)),
        ((8, 8), (8, 8), None),
        ((), (), None),
    ],
)
def test_the_dimension_that_follows_the_batch(two, three, axis):
    assert _axis(two, three, 2, 3) == (axis, "")


@pytest.mark.parametrize(
    ("two", "three", "problem"),
    [
        ((2, 8), (3,), "its draws change their number of dimensions with the batch"),
        ((2, 8), None, "its draws change their number of dimensions with the batch"),
        ((8, 5), (8, 6), "dimension 1 of its draws is not a multiple of the batch"),
        ((3, 8), (2, 8), "dimension 0 of its draws is not a multiple of the batch"),
        ((2, 2), (3, 3), "dimensions 0 and 1 of its draws both follow the batch"),
        ((2, 4), (3, 6), "dimensions 0 and 1 of its draws both follow the batch"),
        ((4, 2), (6, 3), "dimensions 1 and 0 of its draws both follow the batch"),
    ],
)
def test_why_no_dimension_follows_the_batch(two, three, problem):
    assert _axis(two, three, 2, 3) == (None, problem)


@pytest.mark.parametrize(
    ("few", "many", "axes", "problem"),
    [
        ((4, 8), (5, 8), [Axis(0, 1)], ""),
        ((4, 12), (5, 15), [Axis(0, 1)], ""),  # the other has the keys of all parts
        ((12, 4), (15, 5), [Axis(1, 1)], ""),
        ((4, 4), (5, 5), [Axis(0, 1), Axis(1, 1)], ""),  # queries and keys
        ((6, 8), (7, 8), [], "dimension 0 of its draws is not a multiple of the sequence"),
        (None, (7, 8), [], "its draws change their number of dimensions with the sequence"),
    ],
)
def test_the_dimensions_that_follow_the_sequence(few, many, axes, problem):
    place, why = _with_positions(Axis(2, 1), many, [(5, few)])
    assert (place.batch, place.sequence, why) == (Axis(2, 1), tuple(axes), problem)


def test_two_sequences():
    """Such as the target and the source of attention between decoder and encoder."""
    target, source = (7, (2, 6, 9)), (9, (2, 7, 8))
    place, why = _with_positions(Axis(0, 1), (2, 7, 9), [target, source])
    assert (place, why) == (Place(Axis(0, 1), (Axis(1, 1),), (Axis(2, 1),)), "")
    place, why = _with_positions(None, (63,), [(7, (54,)), (9, (56,))])
    assert why == "one dimension of its draws follows two sequences"
    place, why = _with_positions(Axis(0, 7), (14, 9), [(7, (12, 9))])
    assert (place, why) == (Place(Axis(0, 7), (Axis(0, 1),)), "")  # a row for each
    place, why = _with_positions(Axis(0, 14), (28, 9), [(7, (24, 9))])
    assert why == "samples and positions lie along dimension 0 both"


# --- What a probe leaves behind -------------------------------------------------------------------


def test_buffers_are_restored():
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5))
    mean = model[0].running_mean
    state = torch.get_rng_state()
    with contextlib.suppress(KeyError), unchanged(model) as moved:
        model(torch.randn(4, 3))
        assert mean.any()
        assert [*moved.common.drawn()] == [TORCHS]
        raise KeyError
    assert model[0].running_mean is mean
    assert not mean.any()
    assert model[0].num_batches_tracked == 0
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("options", "training", "within"),
    [
        ({}, True, False),
        ({}, False, False),
        ({"track_running_stats": False}, True, False),
        ({"track_running_stats": False}, False, False),
    ],
)
def test_a_norm_uses_the_statistics_that_it_holds(options, training, within):
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3, **options)).train(training)
    with contextlib.suppress(KeyError), norms_still(model):
        assert model[0].training is within
        raise KeyError
    assert model[0].training is training
