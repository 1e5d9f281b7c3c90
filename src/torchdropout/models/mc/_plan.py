"""`plan`: where a model in eval drops, and the proof that nothing else changes."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import torch
from torch.nn.utils import parametrize

from ..._core import _torch
from ..._core._validate import got, wrong_type, wrong_value
from ..._tools.process_state import TORCHS
from ...errors import ArgumentValueError, SiteError, TorchDropoutError
from ..scope import Site, SiteId, Sites
from ..scope.interface import (
    NORMS,
    QUIET,
    BatchDims,
    Draw,
    Leaf,
    Shared,
    batch_size,
    explained,
    injected,
    is_in_scope,
    is_out_of_memory,
    is_packed,
    leaves_of,
    shared_leaves,
    size_of,
    tree_of,
    unwrapped,
)
from ._choice import Patterns, is_chosen, patterns_of, rates_of
from ._halving import halving
from ._layout import Layout
from ._probe import PlanProbe
from ._proof import prove
from ._warning import warn

OnUnreached = Literal["raise", "warn", "ignore"]


class PlannedSite(NamedTuple):
    """A place where the model draws.

    Attributes:
        id: The path of its module, and which of that module's draws it is.
        kind: The function that draws.
        p: Its rate in the passes, if it has one.
        reached: How it is turned on; "left as in eval" where it was not selected.
        selected: Whether it draws in the passes.
        batched: Whether several passes can be computed in one forward.
        shape: The shape of the draws, of size 1 where they are shared.
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


_LOOKED_AT = 3  # inputs of the largest forward that finds where they lie


@dataclass(frozen=True)
class Plan:
    """The draws that the passes of Monte-Carlo dropout turn on.

    Attributes:
        sites: Where the model draws, in order.
        unreached: Draws that cannot be given a key, by site.
        proof: The result of the forward with the mean of each draw; empty if it differs from eval.
        problem: Why this is not Monte-Carlo dropout alone; empty if it is.
        trial: What forwards of some inputs in another batch, and in another order, show.
        mixing: Why what an input gets depends on the rest of its batch; empty if nothing shows it.
        undecided: Arguments for which nothing shows whether they have a row for each input, or only
            by chance as many rows; `MCDropout` needs `shared=` for them.
    """

    sites: tuple[PlannedSite, ...]
    unreached: Mapping[SiteId, str]
    proof: str
    problem: str
    undecided: tuple[str | int, ...]
    flags: tuple[str, ...] = field(repr=False)
    found: Sites = field(repr=False)
    rates: Mapping[SiteId, float | None] = field(repr=False)
    first: str | int = field(default=0, repr=False)
    alone: frozenset[Leaf] = field(default=frozenset(), repr=False)
    trial: str = ""
    mixing: str = ""

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
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows]
        on = sum(site.selected for site in self.sites)
        total = len(self.sites) + len(self.unreached)
        lines += ["", *(question(name, self.first) for name in self.undecided)]
        if self.trial and not self.mixing:
            lines.append(self.trial)
        verdict = self.problem or self.mixing or self.proof
        return "\n".join([*lines, f"{on} of {total} sites draw. {verdict}"])

    def to_dict(self) -> dict[str, Any]:
        """The plan as data for JSON; a p that is not one number is null.

        Example:
            >>> import torch
            >>> from torchdropout import mc
            >>> plan = mc.plan(torch.nn.Sequential(torch.nn.Dropout(0.25)).eval(), torch.ones(2, 3))
            >>> [(site["path"], site["p"]) for site in plan.to_dict()["sites"]]
            [('0', 0.25)]
        """
        return {
            "sites": [
                {
                    "path": site.path,
                    "number": site.id.number,
                    "draws": site.kind,
                    "p": float(site.p) if _is_number(site.p) else None,
                    "reached": site.reached,
                    "selected": site.selected,
                    "batched": site.batched,
                    "shape": None if site.shape is None else list(site.shape),
                }
                for site in self.sites
            ],
            "unreached": [
                {"path": site.path, "number": site.number, "draws": name}
                for site, name in self.unreached.items()
            ],
            "proof": self.proof,
            "problem": self.problem,
            "undecided": list(self.undecided),
            "trial": self.trial,
            "mixing": self.mixing,
        }


def following(
    found: Plan, model: torch.nn.Module, args: Any, kwargs: Any, dim: int, size: int
) -> frozenset[int]:
    """The numbers of the leaves of these arguments that have a row for each input."""
    names = leaves_of(unwrapped(model), args, kwargs)
    leaves = _torch.tree.tree_leaves((args, kwargs), is_leaf=is_packed)
    return frozenset(
        n
        for n, (name, leaf) in enumerate(zip(names, leaves, strict=True))
        if name not in found.alone and size_of(leaf, dim) == size
    )


def _is_number(p: Any) -> bool:
    return isinstance(p, (int, float))


def question(name: str | int, first: str | int) -> str:
    """What to do about an argument that has as many rows as the first, perhaps by chance."""
    return (
        f"Nothing shows whether the argument {name!r} has a row for each input, or only by chance "
        f"as many: pass shared=({name!r},) if all inputs share it, shared=({first!r},) if they "
        "share that one, and shared=() if they share neither."
    )


def plan(
    model: torch.nn.Module,
    *args: Any,
    include: Patterns = None,
    exclude: Patterns = None,
    p: float | Mapping[str, float] | None = None,
    batch_dim: int = 0,
    shared: Shared | None = None,
    batch_dims: BatchDims | None = None,
    sequence: tuple[int, int] | None = None,
    sequence_dim: int = 1,
    **kwargs: Any,
) -> Plan:
    """Find every dropout of a model in eval, and show that turning it on changes nothing else.

    The model runs a few times without gradients. In one of these forwards each draw is replaced by
    its mean: the output must be that of eval, and no buffer may change. In others some inputs are
    in another batch and in another order: what each gets must be the same. Modules, hooks and
    generators are as before, however it ends.

    Args:
        model: In eval.
        args: Arguments of its forward: a batch.
        include: Patterns, as of the shell, of the paths whose dropout is turned on; by default all.
        exclude: Patterns of the paths whose dropout stays off.
        p: Another drop probability, for all sites or by pattern; a dropout whose own p is 0 is not
            a site, and stays off.
        batch_dim: The dimension of the samples in the arguments.
        shared: The arguments that all inputs share, where sizes do not show it; see `find_sites`.
        batch_dims: The dimension of the inputs in the draws of some sites, by path, where forwards
            do not show it, or which input each row belongs to; see `find_sites`.
        sequence: `(0, length)`, with the length of the longest sequence, for masks that do not
            depend on how far a batch is padded.
        sequence_dim: The dimension of the positions in the arguments.
        kwargs: Arguments of the forward, by name.

    Raises:
        ArgumentTypeError: An argument has a type that is not accepted, or the model is scripted.
        ArgumentValueError: The model is in training, p is outside [0, 1] everywhere or a pattern
            fits nothing; the model draws nowhere, or has p = 0 wherever it draws; `batch_dims` has
            a path that does not draw, or a dimension that does not fit.

    Example:
        >>> import torch
        >>> from torchdropout import mc
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.25)).eval()
        >>> print(mc.plan(model, torch.ones(2, 3)))
        site  draws    p     how it is reached
        1 #0  dropout  0.25  its call
        <BLANKLINE>
        One input in another batch, and in another order: the same.
        1 of 1 sites draw. With the mean of each draw the output is eval's, bit for bit.
    """
    check_model(model)
    layout = Layout.of(batch_dim, shared, batch_dims, sequence, sequence_dim, True)
    check_no_scope(model)
    return find_plan(model, args, kwargs, include, exclude, p, layout)


def check_no_scope(model: torch.nn.Module) -> None:
    """Check that no scope of a model is active: a plan would meet its hooks."""
    if is_in_scope(model):
        raise ArgumentValueError(
            "Expected no scope of this model to be active, got a plan made within one."
        )


def find_plan(
    model: torch.nn.Module,
    args: Any,
    kwargs: Any,
    include: Patterns,
    exclude: Patterns,
    p: float | Mapping[str, float] | None,
    layout: Layout,
    most: int | None = None,
) -> Plan:
    """The plan of a model that has been checked, by forwards of at most this many inputs, or three.

    Out of memory halves the inputs of a forward, down to three.
    """
    inner = unwrapped(model)
    batch_dim, shared = layout.batch_dim, layout.shared
    size = batch_size(args, kwargs, batch_dim, shared_leaves(inner, args, kwargs, shared or ()))
    if not size:
        expected = f"a tensor among them that has a dimension {batch_dim}, of the inputs"
        if any(isinstance(given, Mapping) for given in args):
            expected += " (give the arguments in a mapping as **mapping)"
        wrong_value("args", expected, args)
    include = None if include is None else patterns_of("include", include)
    exclude = patterns_of("exclude", exclude)
    probe = PlanProbe(inner, args, kwargs, forced=True, shared=shared)

    def of(most: int) -> Plan:
        given, named = args, kwargs
        if most < size:
            given, named = probe.few(alone, batch_dim, size, most)
        whole = args, kwargs
        return _found(inner, given, named, whole, include, exclude, p, layout)

    with explained():
        first, alone, open_questions = probe.alone(batch_dim, size)
        count = size if most is None else min(most, size)
        _, found = halving(of, count, "inputs", least=_LOOKED_AT)
    found.found.single = size == 1
    return replace(found, undecided=tuple(open_questions), first=first, alone=alone)


class _Tried(NamedTuple):
    """What forwards show in which the modules of these paths are in training."""

    flags: set[str]
    probe: PlanProbe
    seen: set[SiteId]
    proof: str
    problem: str


def _found(
    inner: torch.nn.Module,
    args: Any,
    kwargs: Any,
    whole: tuple[Any, Any],
    include: list[str] | None,
    exclude: list[str],
    p: float | Mapping[str, float] | None,
    layout: Layout,
) -> Plan:
    """The plan of a model by forwards of these inputs, which are some of the whole batch.

    The plan leaves out what is known about the arguments.
    """
    modules = tree_of(inner).paths
    by_call = PlanProbe(inner, args, kwargs, forced=True).draws()
    paths = {site.path for site in by_call}
    allowed = {path for path, module in modules.items() if may_train(path, module)}

    def probe(flags: Iterable[str]) -> PlanProbe:
        around = functools.partial(training, [modules[path] for path in flags])
        options: dict[str, Any] = {"shared": layout.shared, "given": layout.given}
        return PlanProbe(inner, args, kwargs, around=around, forced=True, **options)

    everything = probe(allowed)
    target = everything.all_draws(paths)
    scripted = _scripted_draws(modules)
    if not (target or scripted or everything.draws_more()):
        raise ArgumentValueError(
            "Expected a model that draws, got none: neither a dropout of torch or of this library "
            "with p > 0, nor a call of bernoulli, rand or randn, runs in its forward."
        )
    known = {site.path for site in (*target, *everything.missed, *everything.own, *scripted)}
    rates = rates_of(target, include, exclude, p, {*modules} if everything.hidden else known)
    chosen = {path for path in modules if is_chosen(path, include, exclude)}
    wanted = everything
    if chosen != modules.keys():
        wanted = probe(allowed & chosen)
        wanted.all_draws(paths & chosen)
    own = _with_own_draws(modules)
    owners = {site.path for site in rates} & allowed
    tried = []
    for flags in (owners, owners | _above(rates) & allowed, allowed):
        turned_on = probe(flags)
        seen = turned_on.all_draws(paths).keys() & rates.keys()
        tried.append(_Tried(flags, turned_on, seen, *prove(probe(flags - own), args, kwargs)))
        if len(seen) == len(rates):
            break
    # More training mode may find more, or run code that eval does not, such as an extra classifier.
    flags, turned_on, seen, proof, problem = max(
        tried, key=lambda one: (bool(one.seen) and not one.problem, len(one.seen))
    )
    turned_on.missed.clear()
    # In a part of the batch other arguments may have as many rows by chance.
    turned_on.arguments = whole
    sites = _sites(turned_on, layout, seen)
    reached = {site: rate for site, rate in rates.items() if site in sites}
    turned_on.only = reached.keys()
    sites = turned_on.tried(sites, layout.batch_dim)
    planned = []
    for site, (draw, shape) in target.items():
        if site in reached:
            planned.append(_planned(draw, sites[site], site in by_call, reached, modules))
        else:
            how = "left as in eval" + (", which does not run it" if site in rates else "")
            planned.append(PlannedSite(site, draw.kind, draw.p, how, False, False, shape))
    # Draws that training would turn on beyond the flags that are set cannot be given a key either.
    unreached = {**_by_path(wanted.missed, turned_on.missed), **wanted.own, **turned_on.own}
    unreached |= scripted
    hidden = (wanted.hidden | turned_on.hidden) - ({TORCHS} if unreached else set())
    if hidden:
        why = ", ".join(f"{name} advances" for name in sorted(hidden))
        unreached.setdefault(SiteId("", 0), f"code that no function shows ({why})")
    on = tuple(sorted(flags))
    found = Plan(tuple(planned), unreached, proof, problem, (), on, sites, reached)
    return replace(found, trial=sites.shown, mixing=sites.mixing)


def _by_path(first: Mapping[SiteId, str], second: Mapping[SiteId, str]) -> dict[SiteId, str]:
    """The first, and those of the second in modules that the first does not have."""
    paths = {site.path for site in first}
    return {**first, **{site: name for site, name in second.items() if site.path not in paths}}


def _sites(probe: PlanProbe, layout: Layout, wanted: Set[SiteId]) -> Sites:
    """The sites of a model that runs on these arguments."""
    batch_dim = layout.batch_dim
    try:
        return probe.all_sites(batch_dim, wanted, layout.positions)
    except TorchDropoutError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        if is_out_of_memory(error):
            raise
        args, kwargs = probe.arguments
        skipped = shared_leaves(probe.model, args, kwargs, probe.shared or ())
        size = batch_size(args, kwargs, batch_dim, skipped)
        what = (
            "the dimension of the inputs, and the model to accept two and three inputs: each "
            f"argument with {size} places along it, unless `shared` has its name, is taken for "
            f"{size} inputs"
        )
        message = f"Expected `batch_dim` to be {what}, {got('batch_dim', batch_dim)}"
        raise ArgumentValueError(f"{message}: {type(error).__name__}: {error}") from error


def _above(sites: Iterable[SiteId]) -> set[str]:
    """The paths of the modules around those of the sites."""
    found = set()
    for site in sites:
        names = site.path.split(".")
        found |= {".".join(names[:n]) for n in range(len(names))}
    return found


def _planned(
    draw: Draw,
    found: Site,
    by_call: bool,
    rates: Mapping[SiteId, float | None],
    modules: Mapping[str, torch.nn.Module],
) -> PlannedSite:
    """A plan's entry for a site that draws in the passes."""
    if not draw.aligned and draw.mean is None and injected(modules[found.id.path]) is not None:
        reached = "a key given to its module"
    else:
        reached = "its call" if by_call else "its module put in training"
    if found.problem:
        reached = f"{reached}, but {found.problem}"
    rate = found.p if rates[found.id] is None else rates[found.id]
    axis = found.place.batch
    batched = draw.aligned and axis is not None and not axis.alternating and not found.problem
    return PlannedSite(found.id, found.kind, rate, reached, True, batched, found.shape)


# Functions that draw in the code of a scripted module.
_DRAWS = re.compile(r"\b(\w*dropout\w*|bernoulli_?|rand\w*|uniform_|normal_?|multinomial)\(")


def _scripted_draws(modules: Mapping[str, torch.nn.Module]) -> dict[SiteId, str]:
    """The draws in scripted or traced parts of a model, which no scope sees."""
    return {
        SiteId(path, 0): f"{found[1]} in scripted code"
        for path, module in modules.items()
        if isinstance(module, torch.jit.ScriptModule)
        and not isinstance(modules.get(path.rpartition(".")[0]), torch.jit.ScriptModule)
        and (found := _DRAWS.search(str(module.inlined_graph)))
    }


# Modules of torch that run a model in a way that hides its draws, or that all processes must call.
_WRAPPERS = {"DataParallel", "DistributedDataParallel", "FullyShardedDataParallel"}


def check_model(model: Any) -> None:
    """Check a model whose dropout is to be turned on in eval."""
    if not isinstance(model, torch.nn.Module):
        wrong_type("model", "a module", model)
    if isinstance(model, torch.jit.ScriptModule):
        wrong_type(
            "model", "a module that torch.jit did not compile: its draws cannot be seen", model
        )
    if type(model).__name__ in _WRAPPERS:
        wrong_type("model", "the module that is wrapped, model.module", model)
    modules = tree_of(model).modules
    for module in filter(_torch.is_compiled, modules):
        wrong_type(
            "model",
            "a module that torch.compile did not compile: its draws cannot be seen",
            _name_of(module, model),
        )
    check_mode(model, modules)


def check_mode(model: torch.nn.Module, modules: Iterable[torch.nn.Module]) -> None:
    """Check that a model is in eval, with all its modules."""
    for module in modules:
        if module.training:
            wrong_value(
                "model",
                "a model in eval: call model.eval() first. Its dropout is turned on for the passes",
                _name_of(module, model),
            )


def _name_of(module: torch.nn.Module, model: torch.nn.Module) -> str:
    """The path of one of a model's modules; its type's name for the model itself."""
    path = next((path for path, other in model.named_modules() if other is module), "")
    return path or type(module).__name__


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
    return not isinstance(module, (*NORMS, torch.nn.RReLU))


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


def _with_own_draws(modules: Mapping[str, torch.nn.Module]) -> set[str]:
    """The paths of modules that draw with their own key: in eval they compute their own mean."""
    return {path for path, module in modules.items() if injected(module) is not None}


def check_plan(found: Plan, on_unreached: OnUnreached, independent: bool = True) -> None:
    """Act on draws that a plan does not reach, and on inputs that are not independent.

    Raises:
        ArgumentValueError: No site draws.
        SiteError: With "raise", a site is not reached, or something other than dropout changes; if
            inputs are to be independent, one is not.
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
            warn(message)
    if found.mixing:
        if independent:
            raise SiteError(found.mixing)
        warn(f"{found.mixing} Without it the samples of an input depend on its batch.")
