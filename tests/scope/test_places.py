"""The sites of a model, and what several looks at it say of them."""

import itertools

import pytest
import torch

from torchdropout.errors import SiteError
from torchdropout.functional._part import Axis
from torchdropout.scope._places import Place, Site, SiteId, Sites
from torchdropout.scope._watch import Draw

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
    # B draws in another way in the second look.
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
