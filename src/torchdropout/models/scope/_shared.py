"""Which arguments of a forward have a place for each sample, and which all samples share."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import torch
from torch.nn.utils.rnn import PackedSequence

from ..._core import _torch
from ..._core._validate import is_integer, wrong_type, wrong_value
from ._out_of_memory import is_out_of_memory, may_fail
from ._watch import SiteId

# An argument, and which of its leaves.
Leaf: TypeAlias = tuple[str | int, int]
# Names of arguments, and numbers of unnamed ones; a plan also has single leaves of some.
Shared: TypeAlias = Collection[str | int | Leaf]


def check_shared(shared: Any) -> Shared | None:
    """Check the names of the arguments that samples share.

    Raises:
        ArgumentTypeError: It is not a collection of names and numbers.
    """
    what = "names and numbers of arguments in a tuple, list or set, or None"
    if shared is None:
        return None
    if not isinstance(shared, (tuple, list, set, frozenset)):
        wrong_type("shared", what, shared)
    for name in shared:
        if not isinstance(name, str) and not is_integer(name):
            wrong_type("shared", what, shared)
    return frozenset(shared)


def names_of(model: torch.nn.Module, args: Any, kwargs: Any) -> tuple[list[str | int], set[str]]:
    """The argument that each tensor or other leaf belongs to, and the names of the parameters."""
    parameters: Collection[inspect.Parameter] = ()
    with contextlib.suppress(TypeError, ValueError):  # for example for a forward in C
        parameters = inspect.signature(model.forward).parameters.values()
    plain = [p.name for p in parameters if p.kind <= p.POSITIONAL_OR_KEYWORD]
    by_place = [plain[i] if i < len(plain) else i for i in range(len(args))]

    def named(name: str | int, value: Any) -> Any:
        return _torch.tree.tree_map(lambda _: name, value, is_leaf=is_packed)

    named_args = tuple(map(named, by_place, args))
    tree = named_args, {name: named(name, value) for name, value in kwargs.items()}
    return _torch.tree.tree_leaves(tree), {p.name for p in parameters}


def leaves_of(model: torch.nn.Module, args: Any, kwargs: Any) -> list[Leaf]:
    """The name of each leaf of the arguments, however another call passes them."""
    counts: dict[str | int, int] = {}
    found = []
    for name in names_of(model, args, kwargs)[0]:
        counts[name] = counts.get(name, -1) + 1
        found.append((name, counts[name]))
    return found


def batch_size(args: Any, kwargs: Any, dim: int, skipped: Collection[int] = ()) -> int | None:
    """The size along a dimension of the first tensor that has it, except for skipped leaves."""
    return size_of(with_samples(args, kwargs, dim, skipped), dim)


def with_samples(args: Any, kwargs: Any, dim: int, skipped: Collection[int] = ()) -> Any:
    """The first tensor that has a dimension, except for skipped leaves; None if none has."""
    for place, leaf in enumerate(_torch.tree.tree_leaves((args, kwargs), is_leaf=is_packed)):
        if place not in skipped and size_of(leaf, dim) is not None:
            return leaf
    return None


def shared_leaves(model: torch.nn.Module, args: Any, kwargs: Any, shared: Shared) -> frozenset[int]:
    """The places of the leaves that belong to arguments which all samples share.

    Raises:
        ArgumentValueError: The forward has no argument of that name.
    """
    if not shared:
        return frozenset()
    names, parameters = names_of(model, args, kwargs)
    for name in shared:
        if not isinstance(name, tuple) and name not in names and name not in parameters:
            known = ", ".join(map(repr, dict.fromkeys(names)))
            wrong_value("shared", f"names of arguments of the forward, which has {known}", name)
    leaves = enumerate(leaves_of(model, args, kwargs))
    return frozenset(n for n, leaf in leaves if leaf in shared or leaf[0] in shared)


def size_of(leaf: Any, dim: int) -> int | None:
    """The size of an argument along a dimension; None if it has no such dimension."""
    if is_packed(leaf):
        return int(leaf.batch_sizes[0])
    if isinstance(leaf, torch.Tensor) and leaf.ndim > dim >= -leaf.ndim:
        return leaf.shape[dim]
    return None


def is_packed(leaf: Any) -> bool:
    """Whether an argument is a packed sequence, which is one leaf."""
    return isinstance(leaf, PackedSequence)


_UNKNOWN = (
    "it follows the argument {name!r}, for which nothing shows whether it has a place per "
    "sample or only by chance as many: pass shared=({name!r},) if all samples share it, "
    "shared=({first!r},) if they share that one, and shared=() if they share neither"
)


_ASTRAY = (
    "it follows the argument {name!r}, and nothing follows the argument {first!r}, whose places "
    "are taken for the samples, as those of the first tensor: pass shared=({first!r},) if all "
    "samples share it, and shared=({name!r},) if they share the other"
)


class Pair(NamedTuple):
    """The results of forwards of two and of three samples.

    Attributes:
        two: The draws for two, with the shapes of their masks.
        three: The draws for three.
        result_follows: Whether the result has a place for each sample.
    """

    two: dict[SiteId, Any]
    three: dict[SiteId, Any]
    result_follows: bool


class Forwards(Protocol):
    """The interface to forwards that leave nothing behind, for these questions.

    Attributes:
        model: The model.
        arguments: The arguments of its forward.
        shared: The arguments that all samples share; None to find them out.
        apart: By the number of a leaf, the places taken from it instead; None for all.
    """

    model: torch.nn.Module
    arguments: Any
    shared: Shared | None
    apart: dict[int, Sequence[int] | None]

    def pair(self, dim: int, size: int) -> Pair:
        """The draws for two and for three samples."""

    def draws(self, taken: dict[int, Any]) -> dict[SiteId, Any]:
        """The draws for some places of each dimension, with the shapes of their masks."""


def two_and_three(probe: Forwards, dim: int, size: int) -> tuple[Pair, dict[SiteId, str]]:
    """The draws for two and for three samples, and the problem of draws that follow one argument.

    A tensor other than the first that has the size of the batch may have it by chance. If it
    follows the batch, the forward fails if it has more places than the first: if all samples
    shared it, its size would not matter. If the forward does not fail, either is possible.
    """
    if probe.shared is not None:
        return probe.pair(dim, size), {}
    first, *others = having(probe, dim, size)
    try:
        pair = probe.pair(dim, size)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        found = without_one(probe, others, dim, size)
        if found is None:
            raise
        probe.apart, pair = found
        return pair, {}
    unknown: dict[SiteId, str] = {}
    for place in others:
        probe.apart = {place: [0, 0, 0]}
        with may_fail():
            for site, (_, shape) in probe.draws({dim: (size, [0, 0])}).items():
                if site not in pair.two or pair.two[site][1] != shape:
                    unknown[site] = _question(probe, _UNKNOWN, place, first)
    probe.apart = {}
    return pair, unknown


def without_one(
    probe: Forwards, others: Iterable[int], dim: int, size: int
) -> tuple[dict[int, Sequence[int] | None], Pair] | None:
    """The leaf without which the forward succeeds with two and with three, and its draws."""
    found = []
    for place in others:
        probe.apart = {place: None}
        with may_fail():
            found.append((probe.apart, probe.pair(dim, size)))
    return found[0] if len(found) == 1 else None


def having(probe: Forwards, dim: int, size: int) -> list[int]:
    """The leaves of the arguments that have the size of the batch, other than by chance."""
    leaves = _torch.tree.tree_leaves(probe.arguments, is_leaf=is_packed)
    return [
        n
        for n, leaf in enumerate(leaves)
        if size_of(leaf, dim) == size and probe.apart.get(n, ()) is not None
    ]


def _question(probe: Forwards, text: str, place: int, first: int) -> str:
    """One of the texts above about two arguments."""
    names = names_of(probe.model, *probe.arguments)[0]
    return text.format(name=names[place], first=names[first])


def astray(probe: Forwards, dim: int, size: int) -> dict[SiteId, str]:
    """The problem of sites that follow an argument other than the first, of another size."""
    first, *_ = having(probe, dim, size)
    problems: dict[SiteId, str] = {}
    leaves = _torch.tree.tree_leaves(probe.arguments, is_leaf=is_packed)
    for place, leaf in enumerate(leaves):
        other = size_of(leaf, dim)
        if not other or other == size:
            continue
        with may_fail():
            two, three, _ = probe.pair(dim, other)
            for site, (_, shape) in two.items():
                if site in three and three[site][1] != shape:
                    problems[site] = _question(probe, _ASTRAY, place, first)
    return problems
