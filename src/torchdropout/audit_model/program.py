"""Reads where an exported program drops; it is not run, since its mode cannot be changed."""

from __future__ import annotations

import contextlib
import copy
import re
import types
from pathlib import Path
from typing import Any

import torch

from ..models.export import GraphNode, is_exported, read
from .observer import is_users, shortened
from .results import UNKNOWN_KIND, AuditedSite
from .state import has_own_mode

_FRAME = re.compile(r'File "(.+?)", line (\d+)')


def sites_of(program: Any, folders: tuple[Path, ...], name: str = "") -> tuple[AuditedSite, ...]:
    """The calls of a program that drop in eval, and those that draw a mask without being known.

    Args:
        program: An exported program, or a graph of operators.
        folders: The folders that paths are shown from.
        name: Path of the program in a model.
    """
    found = list(read(_in_eval(program)))
    masks = [one for one in found if not one.is_known and "bernoulli" in one.kind]
    dropping = [one for one in found if one.drops]
    return tuple(_site(one, folders, name) for one in (*dropping, *masks))


def sites_within(model: torch.nn.Module, folders: tuple[Path, ...]) -> tuple[AuditedSite, ...]:
    """The same of all programs in a model."""
    found: list[AuditedSite] = []
    outer = "\0"
    for name, module in model.named_modules():
        if not name.startswith(outer) and is_exported(module):
            found += sites_of(module, folders, name)
            outer = f"{name}."
    return tuple(found)


def _in_eval(program: Any) -> Any:
    """The program after `eval()`, unless that is refused; the program itself is not changed."""
    if isinstance(program, torch.export.ExportedProgram) or not has_own_mode(program):
        return program
    copied = torch.fx.GraphModule(program, copy.deepcopy(program.graph))
    for name in ("train", "eval"):
        vars(copied)[name] = types.MethodType(getattr(program, name).__func__, copied)
    with contextlib.suppress(NotImplementedError):
        copied.eval()
    return copied


def _site(one: GraphNode, folders: tuple[Path, ...], name: str) -> AuditedSite:
    kind = one.kind if one.is_known else UNKNOWN_KIND
    return AuditedSite(
        ".".join(filter(None, (name, one.module))),
        kind,
        _line(one, folders),
        asked=one.p if one.is_known else None,
        calls=1,
        train=True,
        eval=True,
        no_grad=True,
    )


def _line(one: GraphNode, folders: tuple[Path, ...]) -> str:
    """The last line of the user's code that made the call, as `path:line`."""
    frames = _FRAME.findall(one.node.meta.get("stack_trace") or "")
    own = [(path, line) for path, line in frames if is_users(path)]
    return f"{shortened(own[-1][0], folders)}:{own[-1][1]}" if own else ""
