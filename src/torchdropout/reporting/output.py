"""Where a report goes: a terminal, a pipe, or a file that is never half written."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TypedDict

import click
from rich.console import Console

from ..errors import ArgumentValueError
from .atomic import replace_file


class Look(TypedDict):
    """How text is rendered."""

    width: int | None
    styled: bool


def look() -> Look:
    """Wrapped and coloured on a terminal; plain in a pipe, a dumb terminal or with NO_COLOR."""
    console = Console()
    if not console.is_terminal:
        return {"width": None, "styled": False}
    is_plain = console.no_color or console.color_system is None
    return {"width": console.width, "styled": not is_plain}


def write(text: str) -> None:
    """Writes to stdout; a reader who has left is no error."""
    try:
        click.echo(text.rstrip("\n"), color=True)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`head`, say) has what it wanted; Python would complain of it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def need_writable(path: Path) -> None:
    """Raises `ArgumentValueError` where `write_file` would fail: told before a run, not after."""
    folder = path.resolve().parent
    got = ""
    if path.is_dir():
        got = "a folder"
    elif not folder.is_dir():
        got = f"no folder {folder}"
    elif not os.access(path if _is_special(path) else folder, os.W_OK):
        got = "one that may not be written"
    if got:
        raise ArgumentValueError(f"Expected --output to name a file to write, {path}, got {got}")


def write_file(path: Path, text: str) -> None:
    """Writes a file at one stroke: until all is there, the old one stays.

    Args:
        path: The file; what a link points to is written, and the link stays.
        text: What to write, as UTF-8.

    Raises:
        OSError: It cannot be written; the old file is as it was.
    """
    data = text.encode()
    if _is_special(path):  # /dev/stdout, a pipe: nothing to put in its place
        path.write_bytes(data)
    else:
        replace_file(path, data)


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()
