"""Writes reports: to a terminal, to a pipe, or atomically to a file."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TypedDict

import click
from rich.console import Console

from ..errors import ArgumentValueError
from .atomic import replace_file
from .streams import silence


class Style(TypedDict):
    """How text is rendered."""

    width: int | None
    styled: bool


def style() -> Style:
    """The style of stdout: wrapped and coloured on a terminal; plain elsewhere or with NO_COLOR."""
    console = Console()
    if not console.is_terminal:
        return {"width": None, "styled": False}
    is_plain = console.no_color or console.color_system is None
    return {"width": console.width, "styled": not is_plain}


def write(text: str) -> None:
    """Writes to stdout, and ignores a closed pipe."""
    if sys.stdout is None:  # it was closed before the program began
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)  # it may lack a character
    try:
        click.echo(text.rstrip("\n"), color=True)  # it flushes, too
    except BrokenPipeError:  # a reader such as `head` may close the pipe early
        silence()


def need_writable(path: Path) -> None:
    """Raises `ArgumentValueError` before a run where `write_file` would fail after it."""
    folder = path.resolve().parent
    got = ""
    if path.is_dir():
        got = "a folder"
    elif not folder.is_dir():
        got = f"no folder {folder}"
    elif not os.access(path if _is_special(path) else folder, os.W_OK):
        got = "one without write permission"
    if got:
        raise ArgumentValueError(f"Expected --output to name a file to write, {path}, got {got}")


def write_file(path: Path, text: str) -> None:
    """Writes a file atomically: until all of it is written, the old one stays.

    Args:
        path: The file; for a link, the file that it points to is written.
        text: What to write, as UTF-8.

    Raises:
        OSError: It cannot be written; the old file is unchanged.
    """
    data = text.encode(errors="backslashreplace")
    if _is_special(path):  # such as /dev/stdout or a pipe: it cannot be replaced
        path.write_bytes(data)
    else:
        replace_file(path, data)


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()
