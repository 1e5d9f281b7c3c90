"""`plan`: where a model in eval draws once its dropout is on, and the proof of nothing else."""

from __future__ import annotations

import contextlib
import fnmatch
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch.nn.utils import parametrize

from .. import _torch
from .._validate import check_p, wrong_type, wrong_value
from ..errors import ArgumentValueError, SiteError
from ..scope import SiteId
from ..scope._handlers import injected
from ..scope._places import Look, Looking, Sites
from ..scope._watch import QUIET, Draw, paths_of, unwrapped

OnUnreached = Literal["raise", "warn", "ignore"]


class PlannedSite(NamedTuple):
    """A place where the model draws.

    Attributes:
        id: The path of its module, and which of that module's draws it is.
        kind: The function that draws.
        p: Its rate in the passes, where it has one.
        reached: How it is turned on; "left as in eval" where it was not selected.
        selected: Whether it draws in the passes.
        batched: Whether several passes can be computed in one forward.
        shape: Of the draws, of size 1 where they are shared.
    """

    id: SiteId
    kind: str
    p: Any
    reached: str
    selected: bool
    batched: bool
    shape: tuple[int, ...] | None

    @property
    def path(self) -> str:
        """The path of its module."""
        return self.id.path


@dataclass(frozen=True)
class Plan:
    """What the passes of Monte-Carlo dropout turn on.

    Attributes:
        sites: Where the model draws, in order.
        unreached: What draws and cannot be given a key, by site.
        proof: What the forward with the mean of each draw came to; empty if it differs from eval.
        problem: Why this is not Monte-Carlo dropout and nothing else; empty if it is.
    """

    sites: tuple[PlannedSite, ...]
    unreached: Mapping[SiteId, str]
    proof: str
    problem: str
    flags: tuple[str, ...] = field(repr=False)
    found: Sites = field(repr=False)
    rates: Mapping[SiteId, float | None] = field(repr=False)

    def __str__(self) -> str:
        rows = [("site", "draws", "p", "how it is reached")]
        rows += [
            (
                str(s.id),
                s.kind,
                "" if s.p is None else f"{s.p:g}" if _is_number(s.p) else "...",
                s.reached,
            )
            for s in self.sites
        ]
        rows += [(str(site), name, "", "not reached") for site, name in self.unreached.items()]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = ["  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows]
        on = sum(site.selected for site in self.sites)
        total = len(self.sites) + len(self.unreached)
        return "\n".join([*lines, "", f"{on} of {total} sites draw. {self.problem or self.proof}"])


def _is_number(p: Any) -> bool:
    return isinstance(p, (int, float))


Patterns = str | Iterable[str] | None


def plan(
    model: torch.nn.Module,
    *args: Any,
    include: Patterns = None,
    exclude: Patterns = None,
    p: float | Mapping[str, float] | None = None,
    batch_dim: int = 0,
    **kwargs: Any,
) -> Plan:
    """Find every dropout of a model in eval, and show that it can be turned on, and nothing else.

    The model runs a few times without gradients. In one of these forwards each draw is replaced by
    its mean: the output must be that of eval, and no buffer may change. Modules, hooks and
    generators are as before, however it ends.

    Args:
        model: In eval.
        args: Arguments of its forward: a batch.
        include: Patterns, as of the shell, of the paths whose dropout is turned on; by default all.
        exclude: Patterns of the paths whose dropout stays off.
        p: Another drop probability, for all sites or by pattern.
        batch_dim: The dimension of the samples in the arguments.
        kwargs: Arguments of the forward, by name.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted, or the model is scripted.
        ArgumentValueError: The model is in training, p is outside [0, 1] everywhere or a pattern
            fits nothing; the model draws nowhere, or has p = 0 wherever it draws.

    Example:
        >>> import torch
        >>> from torchdropout import mc
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.25)).eval()
        >>> print(mc.plan(model, torch.ones(2, 3)))
        site  draws    p     how it is reached
        1 #0  dropout  0.25  its call
        <BLANKLINE>
        1 of 1 sites draw. With the mean of each draw the output is eval's, bit for bit.
    """
    check_model(model)
    inner = unwrapped(model)
    modules = paths_of(inner)
    off = Look(inner, args, kwargs, forced=True)
    by_call = off.shapes()
    allowed = {path for path, module in modules.items() if may_train(path, module)}

    def look(paths: Iterable[str]) -> Look:
        around = functools.partial(training, [modules[path] for path in paths])
        return Look(inner, args, kwargs, around=around, forced=True)

    everything = look(allowed)
    target = everything.shapes()
    own = _with_own_draws(modules)
    owners = {site.path for site in target} & allowed
    tried = []
    for flags in (owners, owners | _above(target, owners) & allowed, allowed):
        chosen = look(flags)
        seen = len(chosen.shapes().keys() & target.keys())
        tried.append((flags, chosen, seen, *_prove(look(flags - own), args, kwargs)))
        if seen == len(target):
            break
    # More training mode may find more, or run what eval does not, such as an auxiliary classifier.
    flags, chosen, _, proof, problem = max(tried, key=lambda one: (not one[4], one[2]))
    chosen.missed.clear()
    sites = chosen.sites(batch_dim)
    rates = _rates(sites, include, exclude, p)
    planned = []
    for site, found in sites.items():
        draw = target[site][0] if site in target else None
        known = site in by_call and by_call[site][0].kind == found.kind
        reached = "its call" if known else "its module put in training"
        if draw is not None and draw.tensors == () and not draw.aligned and draw.mean is None:
            reached = "a key given to its module" if _is_injected(modules, site) else reached
        selected = site in rates
        rate = rates[site] if rates.get(site) is not None else found.p
        batched = bool(draw and draw.aligned and found.place.batch and not found.problem)
        planned.append(
            PlannedSite(
                site,
                found.kind,
                rate,
                reached if selected else "left as in eval",
                selected,
                batched,
                found.shape,
            )
        )
    if not planned and not chosen.missed:
        raise ArgumentValueError(
            "Expected a model that draws, got none: neither a dropout of torch or of this library "
            "with p > 0, nor a call of bernoulli, rand or randn, runs in its forward."
        )
    return Plan(
        tuple(planned), dict(chosen.missed), proof, problem, tuple(sorted(flags)), sites, rates
    )


def check_model(model: Any) -> None:
    """Check a model whose dropout is to be turned on in eval."""
    if not isinstance(model, torch.nn.Module):
        wrong_type("model", "a module", model)
    if isinstance(model, torch.jit.ScriptModule):
        wrong_type(
            "model", "a module that torch.jit did not compile: its draws cannot be seen", model
        )
    for path, module in paths_of(unwrapped(model)).items():
        if module.training:
            wrong_value(
                "model",
                "a model in eval: call model.eval() first. Its dropout is turned on for the passes",
                path or type(module).__name__,
            )


def may_train(path: str, module: torch.nn.Module) -> bool:
    """Whether a module's training mode may be set: only dropout depends on it, as far as is known.

    Not that of norms and other layers of torch, of parametrizations and of quantisation.
    """
    kind = type(module)
    if parametrize.is_parametrized(module):
        kind = kind.__mro__[1]
    if kind.__module__ in QUIET or kind.__module__.startswith("torch.ao."):
        return False
    if "parametrizations" in path.split("."):
        return False
    return not isinstance(module, (torch.nn.modules.batchnorm._NormBase, torch.nn.RReLU))


@contextlib.contextmanager
def training(modules: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Put modules, and not their children, in training; put them back at the end."""
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.training = True
        yield
    finally:
        for module, flag in zip(modules, before, strict=True):
            module.training = flag


def _above(sites: Iterable[SiteId], known: set[str]) -> set[str]:
    """The paths of the modules around those of the sites."""
    found = set()
    for site in sites:
        names = site.path.split(".")
        found |= {".".join(names[:n]) for n in range(len(names))}
    return found - known


def _is_injected(modules: Mapping[str, torch.nn.Module], site: SiteId) -> bool:
    return injected(modules[site.path]) is not None


def _with_own_draws(modules: Mapping[str, torch.nn.Module]) -> set[str]:
    """The paths of modules that draw by a key of theirs: in eval they compute their own mean."""
    return {path for path, module in modules.items() if injected(module) is not None}


def _patterns(name: str, value: Patterns) -> list[str]:
    found = [value] if isinstance(value, str) else list(value or ())
    for pattern in found:
        if not isinstance(pattern, str):
            wrong_type(name, "a pattern of paths, or several", value)
    return found


def _rates(
    sites: Sites, include: Patterns, exclude: Patterns, p: float | Mapping[str, float] | None
) -> dict[SiteId, float | None]:
    """The sites that draw, and their rates where they are not their own."""
    named = {"include": _patterns("include", include), "exclude": _patterns("exclude", exclude)}
    rates = p if isinstance(p, Mapping) else {} if p is None else {"*": p}
    for name, patterns in (*named.items(), ("p", list(rates))):
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(site.path, pattern) for site in sites):
                paths = ", ".join(dict.fromkeys(site.path for site in sites)) or "none"
                wrong_value(name, f"patterns of paths that draw ({paths})", pattern)
    checked = {pattern: check_p(rate) for pattern, rate in rates.items()}

    def fits(site: SiteId, patterns: Iterable[str]) -> bool:
        return any(fnmatch.fnmatchcase(site.path, pattern) for pattern in patterns)

    found: dict[SiteId, float | None] = {}
    for site in sites:
        if named["include"] and not fits(site, named["include"]):
            continue
        if fits(site, named["exclude"]):
            continue
        own = [rate for pattern, rate in checked.items() if fits(site, [pattern])]
        found[site] = own[-1] if own else None
    if sites and not found:
        raise ArgumentValueError(
            "Expected `include` and `exclude` to leave a site that draws, "
            f"got include={include!r} and exclude={exclude!r}."
        )
    return found


class _Means(Looking):
    """A scope in which each random number is its mean."""

    def __init__(self) -> None:
        super().__init__(forced=True)
        self.without: list[SiteId] = []

    def answer(self, site: SiteId, draw: Draw) -> Any:
        """The mean of the draw, where it has one."""
        if draw.mean is None:
            self.without.append(site)
            return super().answer(site, draw)
        return draw.finished(draw.mean(*draw.tensors))


def _prove(look: Look, args: Any, kwargs: Any) -> tuple[str, str]:
    """What the forward with means shows: a proof, or a problem."""
    model = look.model
    with torch.no_grad():
        expected = model(*args, **kwargs)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    scope = _Means()
    seen: list[str] = []

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        with look.around():
            yield
        seen.extend(n for n, b in model.named_buffers() if not torch.equal(b, before[n]))

    got = Look(model, args, kwargs, around=around, forced=True).run(scope, args, kwargs)
    if seen:
        return "", f"Turning dropout on changes the buffer {seen[0]} too."
    difference = _difference(expected, got)
    if scope.without:
        sites = ", ".join(map(str, scope.without))
        return f"What {sites} does is unknown: its draw has no mean.", ""
    if difference is None:
        return "", "With the mean of each draw the output has another form than eval's."
    largest, allowed = difference
    if largest == 0.0:
        return "With the mean of each draw the output is eval's, bit for bit.", ""
    if largest <= allowed:
        return f"With the mean of each draw the output is eval's within {largest:.2g}.", ""
    return "", (
        f"With the mean of each draw the output differs from eval's by {largest:.2g}: something "
        "other than dropout depends on the training mode."
    )


def _difference(expected: Any, got: Any) -> tuple[float, float] | None:
    """The largest difference, and what rounding may make of it; None for another form."""
    a, form = _torch.tree.tree_flatten(expected)
    b, other = _torch.tree.tree_flatten(got)
    if form != other:
        return None
    largest = allowed = 0.0
    for x, y in zip(a, b, strict=True):
        if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor):
            continue
        if x.shape != y.shape or x.dtype != y.dtype:
            return None
        if not x.dtype.is_floating_point:
            largest = max(largest, float((x != y).sum()))
            continue
        if torch.equal(x, y) or x.numel() == 0:
            continue
        largest = max(largest, float((x - y).abs().nan_to_num(nan=torch.inf).max()))
        size = max(1.0, float(x.abs().nan_to_num().max()))
        allowed = max(allowed, 64 * torch.finfo(x.dtype).eps * size)
    return largest, allowed


def check_plan(found: Plan, on_unreached: OnUnreached, say: Callable[[str], None]) -> None:
    """Act on what a plan does not reach.

    Raises:
        ArgumentValueError: No site draws.
        SiteError: With "raise", a site is not reached, or more than dropout changes.
    """
    on = [site for site in found.sites if site.selected]
    if on and all(_is_number(site.p) and site.p == 0 for site in on):
        raise ArgumentValueError(
            f"Expected a model with a p > 0, got p = 0 at all {len(on)} sites that draw."
        )
    messages = [
        f"Expected draws that can be given a key, got {name} at {site}."
        for site, name in found.unreached.items()
    ]
    messages += [found.problem] if found.problem else []
    for message in messages:
        if on_unreached == "raise":
            raise SiteError(message)
        if on_unreached == "warn":
            say(message)
