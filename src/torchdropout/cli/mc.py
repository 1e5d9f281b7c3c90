"""The commands of Monte-Carlo dropout: `mc plan`."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from torch.export import ExportedProgram

from .._tools.loading import one_line, target_error
from ..audit_model.load import load_model, read_inputs
from ..errors import TorchDropoutError
from ..models.mc import plan as make_plan
from ..models.scope.interface import BatchDims
from ..reporting.command import (
    CANNOT_RUN,
    ERRORS,
    OK,
    WRONG,
    exit_zero_option,
    formats,
    output_option,
    publish,
    quiet_option,
    tell,
)
from ..reporting.lines import clean
from ..reporting.output import need_writable
from ._apart import apart


@click.group()
def mc() -> None:
    """Inspect Monte-Carlo dropout: predictions of a model in eval with its dropout on."""


@mc.command()
@click.argument("target", metavar="TARGET")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]SHAPE[:DTYPE]",
    help="Make this input instead of the factory's: 2x3x224x224, ids=2x16:int64.",
)
@click.option(
    "--include", multiple=True, metavar="PATTERN", help="Turn on the dropout of these paths only."
)
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="Leave the dropout of these paths off."
)
@click.option(
    "--batch-dim",
    type=click.IntRange(0, 63),
    default=0,
    show_default=True,
    help="The dimension of the samples in the inputs.",
)
@click.option(
    "--shared",
    multiple=True,
    metavar="NAME",
    help="An argument that all samples share, although it has the size of the batch.",
)
@click.option(
    "--batch-dims",
    multiple=True,
    metavar="PATH=DIM[,alternating]",
    callback=lambda _context, _option, given: _dims(given),
    help="The dimension of the samples in the draws of a path, if forwards do not show it.",
)
@click.option(
    "--sequence",
    type=click.IntRange(min=1),
    metavar="LENGTH",
    help="The length of the longest sequence, for masks that do not depend on padding.",
)
@click.option(
    "--sequence-dim",
    type=click.IntRange(0, 63),
    default=1,
    show_default=True,
    help="The dimension of the positions in the inputs.",
)
@formats("text", "json")
@output_option("Write the plan to a file, atomically; the verdict goes to stderr.")
@quiet_option("Print the verdict only.")
@exit_zero_option()
@click.pass_context
def plan(
    context: click.Context,
    /,
    target: str,
    inputs: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    batch_dim: int,
    shared: tuple[str, ...],
    batch_dims: BatchDims,
    sequence: int | None,
    sequence_dim: int,
    form: str,
    output: Path | None,
    quiet: bool,
    exit_zero: bool,
) -> int:
    """Show where a model in eval drops once its dropout is on.

    TARGET is package.module:factory or path/file.py:factory. The factory is called without
    arguments and returns a model, (model, args) or (model, args, kwargs). The model is put in eval
    and run a few times: each site is listed with its p and how it is reached, and whether the
    output is eval's when each draw is replaced by its mean, so that nothing else changes. A line
    says whether an input gets the same in another batch and in another order.

    Exit code: 0 all dropout is reached, nothing else changes and no input depends on its batch, 1
    otherwise, 2 the model cannot be run or draws nowhere, 130 interrupted.
    """
    try:
        made = read_inputs(inputs)
        if output is not None:
            need_writable(output)
    except WRONG as error:
        raise click.UsageError(str(error)) from error
    options: dict[str, Any] = {"include": include or None, "exclude": exclude or None}
    options |= {"batch_dim": batch_dim, "shared": shared or None, "batch_dims": batch_dims}
    options |= {"sequence": sequence and (0, sequence), "sequence_dim": sequence_dim}
    try:
        work = functools.partial(_plan, target, made, options)
        found = apart(work, target, fork=bool(context.obj))
    except TorchDropoutError as error:
        tell(str(error))
        return CANNOT_RUN
    lines = [clean(line) for line in found["text"].splitlines()]
    text = "\n".join(lines[-1:] if quiet else lines) + "\n"

    def rendered(**_: Any) -> str:
        if form == "text":
            return text
        return json.dumps({"schema": 1, "target": target, **found["plan"]}, indent=2)

    if not publish(output, lines[-1], "", rendered, rendered, quiet=quiet):
        return CANNOT_RUN
    return OK if exit_zero or found["passed"] else ERRORS


def _dims(given: Iterable[str]) -> BatchDims:
    """The dimensions that `--batch-dims` gives, by path.

    Raises:
        click.BadParameter: One is malformed.
    """
    found: dict[str, int | tuple[int, str]] = {}
    for text in given:
        path, sign, rest = text.rpartition("=")
        dim, comma, how = rest.partition(",")
        if not (sign and dim.removeprefix("-").isdecimal()):
            raise click.BadParameter(f"Expected PATH=DIM or PATH=DIM,alternating, got {text!r}.")
        found[path] = (int(dim), how) if comma else int(dim)
    return found


def _plan(target: str, inputs: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The plan of the model that a TARGET names, as text and as data, and whether all is reached.

    Raises:
        TargetError: It cannot be loaded, or its forward fails or ends the process.
        ArgumentValueError: It draws nowhere, or a pattern matches nothing.
    """
    with contextlib.redirect_stdout(sys.stderr):  # for what the model prints
        try:
            model, args, kwargs, home = load_model(target, inputs)
            if isinstance(model, ExportedProgram):
                got = "an exported program, whose mode is fixed"
                raise target_error(target, "to return a model", got)
            with home:
                found = make_plan(model.eval(), *args, **options, **kwargs)
                misplaced = any(found.found[site].problem for site in found.rates)
                wrong = found.problem or found.mixing or found.unreached or misplaced
                return {"text": str(found), "plan": found.to_dict(), "passed": not wrong}
        except TorchDropoutError:
            raise
        except (Exception, SystemExit) as error:
            raise target_error(target, "to run", one_line(error)) from error
