"""Finds what is wrong with the sites that were seen."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..reporting.findings import Figure, Finding, Severity
from .observer import Declared, Record
from .results import UNKNOWN_KIND, AuditedSite
from .rules import RULES

# These skip whole layers and have no mask, or belong to a head that the model may not have.
_NO_SITE = ("layerdrop", "classif", "summary", "head", "final", "cls")

_SCHEDULED = ("path", "connect", "stochastic")
# Monte Carlo dropout is meant to stay on.
_MEANT = re.compile(r"MC|MonteCarlo|Bayes")


@dataclass(frozen=True)
class Observed:
    """A site, and further data from its records.

    Attributes:
        known: A dropout was recognised.
        sure: It was recognised by more than the name of a class.
        frozen: The module around it was in eval while the model was in training.
        is_lost: Its module is not in the model's tree.
        layers: The number of layers of a recurrent module; 0 for others.
        empty: Each call in training had an input without elements.
    """

    site: AuditedSite
    known: bool
    sure: bool
    frozen: bool
    is_lost: bool
    layers: int
    empty: bool


def joined(
    train: Record | None, evaluation: Record | None, no_grad: Record | None, also: tuple[str, ...]
) -> Observed:
    """Joins the records of a site from all passes."""
    first = train or no_grad or evaluation
    assert first is not None
    source = train or no_grad
    site = AuditedSite(
        first.name,
        first.kind,
        first.line,
        asked=first.asked or (evaluation.asked if evaluation else None) or first.asked,
        seen=source.zeros / source.values if source and source.values else None,
        values=source.values if source else 0,
        calls=first.calls,
        train=None if train is None else train.on,
        eval=None if evaluation is None else evaluation.on,
        no_grad=None if no_grad is None else no_grad.on,
        kept=0 if train is None else train.kept,
        also=also,
    )
    is_empty = train is not None and train.empty >= train.calls
    return Observed(
        site, first.known, first.sure, first.frozen, first.is_lost, first.layers, is_empty
    )


def diagnose(
    sites: Iterable[Observed],
    uncalled: Mapping[str, Declared],
    fast: list[str],
    config: Any,
) -> tuple[Finding, ...]:
    """Finds what is wrong; errors come first.

    Args:
        sites: The sites that were seen.
        uncalled: Dropout modules that were never called, by name.
        fast: Modules whose fast path was taken with a dropout set to train inside.
        config: The model's configuration, or None.
    """
    sites = list(sites)
    found = [finding for site in sites for finding in _of_site(site)]
    found += _uncalled(uncalled, sites)
    if fast:
        names = list(dict.fromkeys(fast))
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        found.append(
            _finding(
                "fast-path-skips-dropout",
                f"{names[0] or 'the model'}{more}: in eval under no_grad with its dropouts set to "
                "train, nothing is dropped: the fast path has no dropout",
                {"sites": names},
            )
        )
    found += _config(config, sites)
    return errors_first(found)


def errors_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, the errors before the advice."""
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))


def diagnose_program(sites: Iterable[AuditedSite]) -> tuple[Finding, ...]:
    """Finds the sites of an exported program that drop in eval; errors come first."""
    found = []
    for site in sites:
        asked = "" if site.asked is None else f" with p={site.asked:g}"
        figures: dict[str, Figure] = {"site": site.name, "kind": site.kind, "line": site.line}
        severity: Severity = "advice" if site.kind == UNKNOWN_KIND else "error"
        message = f"{where(site)} drops in eval{asked}: it was exported in training"
        found.append(_finding("exported-in-training", message, figures, severity))
    return errors_first(found)


def _of_site(observed: Observed) -> Iterator[Finding]:
    site = observed.site
    figures: dict[str, Figure] = {"site": site.name, "kind": site.kind, "line": site.line}
    asked = "" if site.asked is None else f" with p={site.asked:g}"
    if site.eval:
        lost = (
            "; eval() does not reach it: it is built in forward or held in a plain list"
            if observed.is_lost
            else ""
        )
        is_meant = _MEANT.search(site.kind) is not None
        severity: Severity = "error" if observed.known and not is_meant else "advice"
        yield _finding(
            "alive-in-eval", f"{where(site)} drops in eval{asked}{lost}", figures, severity
        )
    is_dead = site.train is False and bool(site.asked) and not observed.empty
    if is_dead and observed.layers == 1:
        yield _finding(
            "rnn-site-without-effect",
            f"{where(site)} has dropout={site.asked:g} and one layer: nothing is dropped",
            figures,
        )
    elif is_dead:
        why = ": the module around it is in eval while the model is in training"
        yield _finding(
            "dead-in-train",
            f"{where(site)} is called{asked} and drops nothing in training"
            + (why if observed.frozen else ""),
            figures,
            # A custom class may draw from a generator that is not torch's.
            "advice" if observed.frozen or not observed.sure else "error",
        )
    if site.train and site.no_grad is False:
        yield _finding(
            "off-under-no-grad",
            f"{where(site)} drops in training, but not under no_grad",
            figures,
        )


def _uncalled(uncalled: Mapping[str, Declared], sites: list[Observed]) -> Iterator[Finding]:
    """Finds modules that are not called, and whose p no function in their holder received."""
    asked = {(s.site.name, s.site.asked) for s in sites}
    for name, (kind, p, *_) in uncalled.items():
        holder = name.rpartition(".")[0]
        if p and (holder, p) not in asked:
            yield _finding(
                "never-called",
                f"{name} {kind} with p={p:g} was called in no pass",
                {"site": name, "kind": kind, "p": p},
            )


def _config(config: Any, sites: list[Observed]) -> Iterator[Finding]:
    asked = {s.site.asked for s in sites if s.site.asked is not None}
    if any(s.site.asked is None for s in sites):
        return  # a site of unknown p may use it
    for key, p in _configured(config):
        # Schedules over the layers are often computed in float32, and may not reach their end.
        is_schedule = any(part in key.lower() for part in _SCHEDULED)
        least = 0.0 if is_schedule else p
        if not any(least < other < p or math.isclose(p, other, rel_tol=1e-6) for other in asked):
            got = ", ".join(f"{value:g}" for value in sorted(asked)) or "none"
            yield _finding(
                "config-p-without-site",
                f"config.{key} is {p:g}, and no site was called with it: {got}",
                {"key": key, "p": p, "asked": sorted(asked)},
            )


def _configured(config: Any) -> Iterator[tuple[str, float]]:
    """The dropout probabilities above 0 in a configuration, by their path in it."""
    to_dict = getattr(config, "to_dict", None)
    if callable(to_dict):
        config = to_dict()
    elif not isinstance(config, Mapping):
        config = getattr(config, "__dict__", {})
    if not isinstance(config, Mapping):
        return
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", p) for inner, p in _configured(value))
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        name = str(key).lower()
        if any(part in name for part in _NO_SITE):
            continue
        if is_number and 0 < value <= 1 and "drop" in name:
            yield str(key), float(value)


def config_of(model: torch.nn.Module) -> Any:
    """The configuration of a model, or None."""
    return getattr(model, "config", None)


def where(site: AuditedSite) -> str:
    """Names a site in a message: name, kind and line."""
    place = f" ({site.line})" if site.line else ""
    holder = site.name or "the model's own"
    return f"{holder} {site.kind}{place}"


def _finding(
    name: str, message: str, figures: Mapping[str, Figure], severity: Severity | None = None
) -> Finding:
    rule = RULES[name]
    return Finding(rule.code, rule.name, severity or rule.severity, message, figures)
