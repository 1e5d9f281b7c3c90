"""Where the samples lie in the draws of some sites, as the caller says: `batch_dims`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, TypeAlias

from ..._core._validate import is_integer, wrong_type, wrong_value
from ...errors import ArgumentValueError
from ...functional._part import Axis
from ._watch import Draw, Place, SiteId


class Call(NamedTuple):
    """A draw, for a function that says which samples its rows belong to.

    Attributes:
        tensors: The tensors of the drawing call: the input of a dropout; query, key, value and mask
            of attention.
        number: Which of the draws of its module it is in the forward, from 0.
    """

    tensors: tuple[Any, ...]
    number: int


RowFunction: TypeAlias = Callable[[Call], Any]
BatchDims: TypeAlias = Mapping[str, "int | tuple[int, str] | RowFunction | tuple[int, RowFunction]"]

ALTERNATING = "alternating"


class GivenDim(NamedTuple):
    """The dimension of the samples in the draws of a site, or of all sites of a module.

    Attributes:
        name: The path of the module, or `path#number`.
        dim: The dimension, counted from the end if negative.
        alternating: Whether the samples alternate there; else the places of each are neighbours.
    """

    name: str
    dim: int
    alternating: bool

    def axis(
        self, site: SiteId, draw: Draw, shapes: Mapping[int, tuple[int, ...] | None]
    ) -> tuple[Axis, str]:
        """The axis in the shapes of the draws of some numbers of samples, and its problem.

        Raises:
            ArgumentValueError: The draws have no such dimension, or its size does not fit.
        """
        found = {n: shape for n, shape in shapes.items() if shape is not None}
        ranks = {len(shape) for shape in found.values()}
        if not ranks:
            self._wrong(site, draw, "a path of draws that the samples do not all share")
        if not all(-rank <= self.dim < rank for rank in ranks):
            what = f"a dimension of its draws of shape {_listed(found.values())}"
            self._wrong(site, draw, what)
        times = {shape[self.dim] / n for n, shape in found.items()}
        if len(times) > 1 or not all(t >= 1 and t == int(t) for t in times):
            each = " and ".join(f"{shape} of {n} samples" for n, shape in found.items())
            what = f"a dimension that has as many places for each sample in draws of shape {each}"
            self._wrong(site, draw, what)
        rank = ranks.pop()
        axis = Axis(self.dim % rank, int(times.pop()))
        if not self.alternating or axis.times == 1:
            return axis, ""
        if draw.inner is None or axis.dim >= rank - draw.inner:
            self._wrong(site, draw, "a dimension in which the places of a sample are neighbours")
        return axis._replace(alternating=True), ""

    def _wrong(self, site: SiteId, draw: Draw, what: str) -> NoReturn:
        where = "" if self.name == f"{site.path}#{site.number}" else f" at {site}"
        value = (self.dim, ALTERNATING) if self.alternating else self.dim
        raise ArgumentValueError(
            f"Expected `batch_dims` to give {what}, got {value!r} for {self.name!r}{where} "
            f"({draw.kind})."
        )


class GivenRows(NamedTuple):
    """The function that gives the sample of each row in the draws of a site.

    Attributes:
        name: The path of the module, whose draws are then one site, or `path#number`.
        function: Maps a `Call` to the samples of its rows, or to one, which has all of the draw.
        dim: The dimension of the rows.
    """

    name: str
    function: RowFunction
    dim: int


class Given:
    """The given dimensions, by site.

    Raises:
        ArgumentTypeError: They are not a mapping of paths to dimensions.
    """

    def __init__(self, batch_dims: BatchDims | None) -> None:
        what = (
            "a mapping of paths, or of 'path#number', to the dimension of the samples, to "
            "(dimension, 'alternating') or to a function that gives the sample of each row, or None"
        )
        if batch_dims is not None and not isinstance(batch_dims, Mapping):
            wrong_type("batch_dims", what, batch_dims)
        self.dims: dict[str, GivenDim] = {}
        self.rows: dict[str, GivenRows] = {}
        for name, value in (batch_dims or {}).items():
            dim: Any
            how: Any
            dim, how = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
            if callable(dim):
                dim, how = 0, dim
            if not isinstance(name, str) or not is_integer(dim):
                wrong_type("batch_dims", what, batch_dims)
            if callable(how):
                if dim < 0:
                    wrong_value("batch_dims", "a dimension of rows of 0 or more", dim)
                self.rows[name] = GivenRows(name, how, int(dim))
                continue
            if how not in (None, ALTERNATING):
                wrong_value("batch_dims", f"(dimension, {ALTERNATING!r})", value)
            self.dims[name] = GivenDim(name, int(dim), how is not None)

    def of(self, site: SiteId) -> GivenDim | None:
        """The dimension of a site, or else of all sites of its module."""
        return self.dims.get(f"{site.path}#{site.number}", self.dims.get(site.path))

    def rows_of(self, site: SiteId) -> GivenRows | None:
        """The function of a site, or else of its module."""
        return self.rows.get(f"{site.path}#{site.number}", self.rows.get(site.path))

    def merged(self, site: SiteId) -> SiteId:
        """The site of a draw: all draws of a module whose rows a function gives are one."""
        return SiteId(site.path, 0) if site.path in self.rows else site

    def how(self) -> frozenset[Any]:
        """What the sites of a model depend on: another function finds the same ones."""
        return frozenset([*self.dims.values(), *((n, r.dim) for n, r in self.rows.items())])

    def check_names(self, sites: Iterable[SiteId], paths: Iterable[str]) -> None:
        """Check that each belongs to a site, or to a module that may draw in another forward.

        Raises:
            ArgumentValueError: One does not.
        """
        drawing = {f"{site.path}#{site.number}": site.path for site in sites}
        names = self.dims.keys() | self.rows.keys()
        for name in names - drawing.keys() - {*drawing.values()}:
            above = f"{name}." if name else ""
            if name not in paths or any(path.startswith(above) for path in drawing.values()):
                known = ", ".join(map(repr, drawing)) or "none"
                wrong_value("batch_dims", f"paths of modules that draw ({known})", name)


def _listed(shapes: Iterable[Sequence[int]]) -> str:
    return " or ".join(str(tuple(shape)) for shape in dict.fromkeys(shapes))


def unfolded(draw: Draw, place: Place) -> tuple[Draw, Place]:
    """A draw in which the samples alternate, with a dimension of the samples alone."""
    assert place.batch is not None
    dim, times = place.batch.dim, place.batch.times
    lead = draw.tensors[0]

    def apart(t: Any) -> Any:
        if t is None or t.ndim != lead.ndim or t.shape[dim] != lead.shape[dim]:
            return t
        # Not `unflatten`, which the compiler cannot trace while a mode observes functions.
        return t.view(*t.shape[:dim], times, t.shape[dim] // times, *t.shape[dim + 1 :])

    def compute(*tensors: Any, **options: Any) -> Any:
        return draw.compute(*map(apart, tensors), **options).flatten(dim, dim + 1)

    def moved(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        return tuple(axis._replace(dim=axis.dim + (axis.dim > dim)) for axis in axes)

    found = draw._replace(compute=compute, plain=False, passes=None, by_rows=False)
    return found, Place(Axis(dim + 1, 1), moved(place.sequence), moved(place.others))
