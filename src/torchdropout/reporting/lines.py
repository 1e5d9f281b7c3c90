"""Lines of text: wrapped, coloured, and free of control characters.

Styles are rich's; they change no character.
"""

from __future__ import annotations

import io
import sys
import textwrap
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

_LEAST_MESSAGE = 24


def clean(text: str) -> str:
    """Text on one line without control characters: messages may quote a target's exceptions."""
    kept = "".join(c if c.isprintable() else " " for c in text)
    return kept if "\n" not in text and "\t" not in text else " ".join(kept.split())


def plural(count: int, noun: str) -> str:
    """`no errors`, `1 error`, `2 errors`."""
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def hanging(head: Text, parts: Sequence[tuple[str, str]], width: int | None) -> list[Text]:
    """The head, then the parts, wrapped with a hanging indent of the head's width."""
    column = head.cell_len
    lines = [Text("   ").join(Text(clean(text), style=style) for text, style in parts)]
    if width is not None:
        room = max(width - column, _LEAST_MESSAGE)
        if lines[0].cell_len > room:
            lines = [Text(line, style=style) for text, style in parts for line in fill(text, room)]
    pad = " " * column
    hung = [Text.assemble(pad if i else head, line) for i, line in enumerate(lines)]
    for line in hung:
        line.rstrip()
    return hung


def wrapped(text: str, width: int | None, style: str = "") -> list[Text]:
    """The text in lines of a width; in one line where the width is None."""
    lines = [clean(text)] if width is None else fill(text, width)
    return [Text(line, style=style) for line in lines]


def filled(text: str, width: int | None) -> list[Text]:
    """A paragraph, filled; one with an indented line (code, a list) is left unchanged."""
    lines = text.splitlines()
    if any(line.startswith((" ", "\t", "- ")) for line in lines):
        return [Text(line) for line in lines]
    return wrapped(text, width or 100)


def listing(text: str) -> list[Text]:
    """Source text, indented and never wrapped."""
    lines = textwrap.dedent(text.expandtabs()).strip("\n").splitlines()
    return [Text(f"    {clean(line)}".rstrip()) for line in lines]


def fill(text: str, width: int) -> list[str]:
    """The text in lines of a width, at least one."""
    return textwrap.wrap(clean(text), max(width, 1), break_on_hyphens=False) or [""]


def joined(lines: Iterable[Text], styled: bool) -> str:
    """Joins lines, each with a newline at its end, with ANSI codes or plain."""
    if not styled:
        return "".join(f"{line.plain}\n" for line in lines)
    buffer = io.StringIO()
    # What decides about colours and line breaks is given, so that the environment does not.
    console = Console(file=buffer, color_system="standard", no_color=False, width=sys.maxsize)
    for line in lines:
        console.print(line)
    return buffer.getvalue()
