"""The draws of rows in any order: which sample each belongs to, and a call for each run of rows."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ...errors import SiteError
from ...functional._attention import as_typed
from ...functional._part import Part
from ...random import Key
from ._given import Call, GivenRows
from ._watch import Draw

if TYPE_CHECKING:
    from ._places import Site

# A sample has numbers for so many rows at a site whose rows a function gives, whatever it has.
ROW_BITS = 20


class Rows(NamedTuple):
    """The rows of a draw.

    Attributes:
        dim: Their dimension; -1 if one row is the whole draw.
        places: For each the sample of the forward, and which of its rows it is.
    """

    dim: int
    places: list[tuple[int, int]]


def misfit(draw: Draw, site: Site, samples: int) -> str:
    """Why a draw does not have the rows of that many samples; empty if it has, as far as known."""
    axis = site.place.batch
    if axis is None or not draw.aligned or site.rows is not None:
        return ""
    lead = draw.tensors[0]
    if type(lead) is not torch.Tensor:
        return ""
    if lead.ndim > axis.dim and lead.shape[axis.dim] == samples * axis.times:
        return ""
    rows = lead.shape[axis.dim] if lead.ndim > axis.dim else "no"
    return (
        f"it has {rows} rows along dimension {axis.dim}, where {samples} samples have "
        f"{samples * axis.times}"
    )


def stretched(draw: Draw, site: Site) -> str:
    """Why a draw has another size than its site, along a dimension that follows no sequence."""
    lead, shape = draw.tensors[0] if draw.aligned else None, site.shape
    if lead is None or shape is None or lead.ndim != len(shape) or site.rows is not None:
        return ""
    sizes = [*lead.shape]
    if draw.kind == "scaled_dot_product_attention":
        sizes[-1] = draw.tensors[1].shape[-2]
    axes = (site.place.batch, *site.place.sequence, *site.place.others)
    known = {axis.dim for axis in axes if axis is not None}
    for dim, (size, found) in enumerate(zip(sizes, shape, strict=True)):
        if dim not in known and found not in (1, size):
            return (
                f"dimension {dim} of it has {size} places, and had {found} in the forwards that "
                "found the sites, which did not show that it follows a sequence"
            )
    return ""


def fitted(draw: Draw, site: Site, samples: int) -> Site:
    """The site for samples of another size, such as another length, each of which has other rows.

    The site itself if the draw does not have as many rows for each sample.
    """
    axis, lead = site.place.batch, draw.tensors[0] if draw.aligned else None
    if axis is None or site.rows is not None or type(lead) is not torch.Tensor:
        return site
    times, rest = divmod(lead.shape[axis.dim], samples) if lead.ndim > axis.dim else (0, 1)
    if rest or times == axis.times:
        return site
    return site._replace(place=site.place._replace(batch=axis._replace(times=times)))


def rows_of(
    draw: Draw,
    site: Site,
    samples: int,
    given: GivenRows | None = None,
    number: int = 0,
    counts: MutableMapping[Any, Any] | None = None,
) -> Rows:
    """Which samples of the forward the rows of a draw belong to.

    Args:
        draw: The draw.
        site: Its site, which has a dimension of samples.
        samples: How many the forward has.
        given: The function that gives the samples of the rows.
        number: Which of the draws of its module it is.
        counts: How many rows each sample had at each such site, so far in the forward.

    Raises:
        SiteError: The function gives something else than a sample for each row.
    """
    axis = site.place.batch
    assert axis is not None
    if given is None:
        n, every = samples, range(samples * axis.times)
        if axis.alternating:
            return Rows(axis.dim, [(row % n, row // n) for row in every])
        return Rows(axis.dim, [divmod(row, axis.times) for row in every])
    found = given.function(Call(draw.tensors, number))
    which = found.tolist() if hasattr(found, "tolist") else found
    lead = draw.tensors[0] if draw.tensors else None
    single = isinstance(which, int)
    which = [which] if single else [*which]
    size = 1 if single else 0 if lead is None or lead.ndim <= axis.dim else lead.shape[axis.dim]
    if len(which) != size or not all(0 <= sample < samples for sample in which):
        raise SiteError(
            f"Expected the function for {given.name!r} in `batch_dims` to give one of {samples} "
            f"samples, from 0 on, for each of the {size} rows of a draw, got {found!r}."
        )
    assert counts is not None
    shape = None if lead is None else (single, *lead.shape[: axis.dim], *lead.shape[axis.dim + 1 :])
    if counts.setdefault((site.id, "shape"), shape) != shape:
        raise SiteError(
            f"Expected the draws of {given.name!r} in a forward to have rows of one shape, as its "
            "rows are given by a function: name the draws apart, by 'path#number'."
        )
    rows = []
    for sample in which:
        place = counts.get((site.id, sample), 0)
        counts[site.id, sample] = place + 1
        rows.append((sample, place))
    return Rows(-1 if single else axis.dim, rows)


def in_rows(
    draw: Draw, dim: int, rows: Sequence[int], key: Key, part: Part, **options: Any
) -> torch.Tensor:
    """The draw in which each row along a dimension has the mask indices of the row of a number.

    Row r has the indices `r * size` to `(r + 1) * size - 1`, row-major. There is one call for each
    run of rows whose numbers are equally far apart.

    Raises:
        SiteError: The draw has several such runs, and cannot be computed in parts.
    """
    pieces = [*runs(rows)]
    if len(pieces) == 1:
        ((_, _, first, step),) = pieces
        y: torch.Tensor = draw.compute(
            *draw.tensors, key=key, layout=part.of_rows(dim, first, step), **options
        )
        return y
    if not draw.by_rows:
        raise SiteError(
            "Expected a draw that takes samples in any order, got "
            f"{draw.kind}: give it samples whose numbers follow one another."
        )
    if not pieces:
        return draw.compute(*draw.tensors, key=key, layout=part, **options)  # type: ignore[no-any-return]
    lead = draw.tensors[0]
    if draw.inplace and not options.get("fresh"):
        return lead.copy_(in_rows(draw, dim, rows, key, part, **options, fresh=True))  # type: ignore[no-any-return]
    follows = [
        isinstance(t, torch.Tensor) and t.ndim == lead.ndim and t.shape[dim] == lead.shape[dim]
        for t in draw.tensors
    ]
    found = []
    for begin, end, first, step in pieces:
        tensors = [
            t.narrow(dim, begin, end - begin) if along else t
            for t, along in zip(draw.tensors, follows, strict=True)
        ]
        layout = part.of_rows(dim, first, step)
        found.append(draw.compute(*tensors, key=key, layout=layout, **options))
    with as_typed(lead.device):  # autocast would join half types as float32
        return torch.cat(found, dim)


def runs(numbers: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """Cut numbers into runs that grow by one step: begin, end, the first number, the step."""
    begin, count = 0, len(numbers)
    while begin < count:
        end, step = begin + 1, 1
        if end < count and numbers[end] >= numbers[begin]:
            step = numbers[end] - numbers[begin]
            while end < count and numbers[end] - numbers[end - 1] == step:
                end += 1
        yield begin, end, numbers[begin], step
        begin = end


def numbered(rows: Rows, site: Site, numbers: Sequence[int], times: int = 0) -> list[int]:
    """The number of each row, from those of the samples.

    Args:
        rows: The rows.
        site: Their site.
        numbers: The numbers of the samples.
        times: How many numbers a sample has; 0 for as many as it has rows.

    Raises:
        SiteError: A sample has more rows than numbers.
    """
    assert site.place.batch is not None
    times = times or (site.place.batch.times if site.rows is None else 1 << ROW_BITS)
    if any(place >= times for _, place in rows.places):
        raise SiteError(f"Expected a sample to have at most {times} rows at {site.id}, got more.")
    return [numbers[sample] * times + place for sample, place in rows.places]
