"""Arguments that a forward may write into, and whether two outputs are equal."""

import threading
from dataclasses import dataclass

import pytest
import torch

from torchdropout.models.mc._probe import PlanProbe, difference_of, flat, fresh, is_same
from torchdropout.models.scope import SiteId
from torchdropout.models.scope._places import Site, Sites

X = torch.ones(3)
EPS = torch.finfo(torch.float32).eps
NAN, INF = float("nan"), float("inf")


@dataclass
class Output:
    logits: object
    loss: object = None


class Cache:
    def __init__(self):
        self.keys = [1]


def test_each_forward_gets_arguments_of_its_own():
    cache, module = Cache(), torch.nn.ReLU()
    constants = [None, "a", 1, 2.0, True, module, torch.float32, torch.device("cpu"), len]
    args, kwargs = fresh((X, [X, cache], *constants), {"x": X, "cache": cache})
    assert args[0] is not X
    assert torch.equal(args[0], X)
    assert args[1][0] is args[0] is kwargs["x"]  # a tensor that is passed twice stays one
    assert args[1][1] is kwargs["cache"] is not cache
    assert args[1][1].keys == [1]
    assert all(a is b for a, b in zip(args[2:], constants, strict=True))


def test_what_has_no_copy_is_passed_itself():
    lock = threading.Lock()
    args, _ = fresh((lock, X), {})
    assert args[0] is lock
    assert args[1] is not X


def nested(depth):
    return X if depth == 0 else Output(nested(depth - 1))


def test_the_leaves_of_an_output():
    leaves, form = flat((X, {"a": Output(X, 2.0)}, "text"))
    assert [leaf if leaf is not X else "x" for leaf in leaves] == ["x", "x", 2.0, "text"]
    assert Output in form
    assert form == flat((X, {"a": Output(X, 3.0)}, "other"))[1]
    assert form != flat((X, {"b": Output(X, 2.0)}, "text"))[1]
    assert form != flat((X, {"a": Cache()}, "text"))[1]
    module = torch.nn.ReLU()
    assert flat([module, Output, len])[0] == [module, Output, len]
    assert flat([])[0] == []


@pytest.mark.parametrize(("depth", "is_found"), [(0, True), (4, True), (5, False)])
def test_objects_in_objects(depth, is_found):
    leaves = flat(nested(depth))[0]
    assert any(leaf is X for leaf in leaves) == is_found


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (X, X.clone(), (0.0, 0.0)),
        (X, X + 0.5, (0.5, 64 * EPS)),
        (X, X - 2.0, (2.0, 64 * EPS)),
        (100 * X, 101 * X, (1.0, 6400 * EPS)),
        (-100 * X, -101 * X, (1.0, 6400 * EPS)),
        (X.double(), X.double() + 1, (1.0, 64 * torch.finfo(torch.float64).eps)),
        ([X, 4 * X], [X + 3, 4 * X], (3.0, 64 * EPS)),
        ([X, 4 * X], [X + 1, 4 * X + 3], (3.0, 256 * EPS)),
        ([4 * X, X], [4 * X + 3, X + 1], (3.0, 256 * EPS)),
        ([X, 2.0, "a"], [X, 3.0, "b"], (0.0, 0.0)),
        (X.long(), torch.tensor([1, 5, 7]), (2.0, 0.0)),
        (X.bool(), torch.tensor([True, False, True]), (1.0, 0.0)),
        ([X.long(), X], [X.long() + 1, X + 0.5], (3.0, 64 * EPS)),
        (torch.ones(0), torch.ones(0), (0.0, 0.0)),
        (torch.tensor([NAN, INF]), torch.tensor([NAN, INF]), (0.0, 0.0)),
        (torch.tensor([NAN, 1.0]), torch.tensor([NAN, 2.0]), (1.0, 64 * EPS)),
        (torch.tensor([INF, 1.0]), torch.tensor([INF, 2.0]), (1.0, 64 * EPS)),
        (X, X[:2], None),
        (X, X.double(), None),
        (X, [X], None),
        ([X, X], [X], None),
        (X, 1.0, None),
        (1.0, X, None),
    ],
)
def test_the_difference_of_outputs(one, other, expected):
    found = difference_of(one, other)
    assert found == (expected and pytest.approx(expected, rel=1e-6, abs=0))


@pytest.mark.parametrize(
    ("one", "other"), [([NAN, 1.0], [2.0, 1.0]), ([INF, 1.0], [2.0, 1.0]), ([1.0, 2.0], [1.0, NAN])]
)
def test_a_number_and_what_is_not_finite_are_far_apart(one, other):
    largest, allowed = difference_of(torch.tensor(one), torch.tensor(other))
    assert largest > 1e38
    assert allowed < 1


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, NAN], [1.0, NAN], True),
        ([1.0, NAN], [1.0, 2.0], False),
        ([1.0, 2.0], [1.0, NAN], False),
        ([1.0], [1.0, 1.0], False),
        ([], [], True),
    ],
)
def test_equal_tensors(one, other, expected):
    assert is_same(torch.tensor(one), torch.tensor(other)) == expected


A, B, C = SiteId("a", 0), SiteId("b", 0), SiteId("c", 0)


class Looks(PlanProbe):
    """Looks that find these draws, one after another."""

    def __init__(self, *found):
        super().__init__(torch.nn.Identity(), (X,), {})
        self.found, self.keys = list(found), []

    def draws(self, taken=None):
        self.keys.append(self.key_of(A).seed)
        return self.found[min(len(self.keys), len(self.found)) - 1]

    def sites(self, batch_dim, sequence_dim=None):
        found = {id: Site(id, "dropout", 0.5, (2,)) for id in self.draws()}
        return Sites(found, hidden=False, unseen=())


def test_looks_with_other_keys_until_each_path_draws():
    probe = Looks({A: 1, C: 2}, {A: 3, B: 4, C: 5}, {B: 6})
    assert list(probe.all_draws({"a", "b"}).items()) == [(A, 1), (B, 4), (C, 2)]
    assert probe.keys == [0, 1]
    assert list(Looks({B: 1}, {A: 2, B: 3}).all_draws({"a"})) == [A, B]
    probe = Looks({A: 1})
    assert probe.all_draws({"gone"}) == {A: 1}
    assert probe.keys == list(range(16))


def test_looks_until_each_site_is_found():
    probe = Looks({A: 1, C: 2}, {A: 3, B: 4})
    assert set(probe.all_sites(0, {A, B})) == {A, B, C}
    assert probe.keys == [0, 1]
    probe = Looks({A: 1})
    assert set(probe.all_sites(0, {B})) == {A}
    assert probe.keys == list(range(16))


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("missed", {A: "rand"}), ("own", {A: "rand"}), ("hidden", {"Python's"}), ("unseen", {"rand"})],
)
def test_what_draws_more(attribute, value):
    probe = Looks()
    assert probe.draws_more() is False
    setattr(probe, attribute, value)
    assert probe.draws_more() is (attribute != "unseen")


class Rows(PlanProbe):
    """Forwards with these draws and outputs, one after another, or an error."""

    def __init__(self, *found):
        super().__init__(torch.nn.Identity(), (X, X), {})
        self.found, self.asked = iter(found), []

    def draws(self, taken=None):
        self.asked.append((taken, dict(self.apart), self._alters))
        found = next(self.found)
        if isinstance(found, Exception):
            raise found
        shape, self.output = found
        return {A: ("a draw", shape)}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (((2,), X), False),
        (((3,), X), True),
        (((2,), X + 1), True),
        (((2,), [X]), True),
        (ValueError("sizes differ"), False),
        (torch.OutOfMemoryError("2 GiB"), None),
    ],
)
def test_whether_a_forward_depends_on_a_third_row_of_one_leaf(more, expected):
    probe = Rows(((2,), X), more)
    if expected is None:
        with pytest.raises(torch.OutOfMemoryError):
            probe._depends_on(1, 0, 2)
    else:
        assert probe._depends_on(1, 0, 2) is expected
    assert (probe.apart, probe._alters) == ({}, None)
    (first, *_), (second, apart, alters) = probe.asked
    assert first == second == {0: (2, [0, 0])}
    assert apart == {1: [0, 0, 0]}
    assert [alters(number, None) for number in (0, 1, 2)] == [False, True, False]
