"""Notebooks as one Python text, whose places and fixes are mapped back to cells.

The code cells are joined, so that an import in the first is known in the fifth. IPython syntax
becomes a comment behind a mark.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

from .files import Source, UnreadableError
from .findings import SourceFinding
from .lines import LINE_END, Lines

# A character that nobody types marks what is not Python.
_MARK = "#\ue000"
_SEPARATOR = f"{_MARK}\ue000\n"

# The cell magics whose body is Python; other bodies are another language, or a file.
_PYTHON_MAGICS = frozenset({"capture", "lprun", "memit", "mprun", "prun", "time", "timeit"})

_CELL_MAGIC = re.compile(r"\s*%%(\w*)")
# IPython syntax at the beginning of a statement: `%magic`, `!shell`, `?help`, `x = %magic`;
# `,call`, `help?`.
_MAGIC = re.compile(
    r"(?P<before>[ \t]*(?:[\w.,\[\]][\w.,\[\] \t]*?=[ \t]*)?)(?P<ipython>[%!?][^\r\n]*)"
    r"|(?P<indent>[ \t]*)(?:[,;/][^\r\n]*|(?=[\w.*%])[\w.*%\[\]'\"]+\?\??[ \t]*(?=[\r\n]|\Z))"
)
_PIECE = re.compile(
    r"""(?P<triple>\"{3}|'{3})(?:\\.|(?!(?P=triple)).)*(?:(?P=triple)|\Z)
      | "(?:\\(?:\r\n|.)|[^"\\\r\n])*"? | '(?:\\(?:\r\n|.)|[^'\\\r\n])*'?
      | \#[^\r\n]* | \\(?:\r\n|.) | (?P<open>[(\[{]) | (?P<close>[)\]}]) | (?P<newline>\r\n|\r|\n)
      | [^"'\#\\\r\n()\[\]{}]+ | .""",
    re.VERBOSE | re.DOTALL,
)
_REST = re.compile(r"[^\r\n]*")  # of a line
_WHITE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True)
class _Cell:
    number: int  # among all cells, from 1
    source: str
    text: str  # the source with what is not Python behind marks
    error: SyntaxError | None = None


class Notebook:
    """A notebook as a text that can be audited and fixed like any other.

    Attributes:
        text: The code cells, with a separating comment before each.
        broken: For cells that do not parse, the line of the text and the error; such a cell is a
            comment in the text.
    """

    def __init__(self, source: Source) -> None:
        """Reads a notebook.

        Args:
            source: The text of the file.

        Raises:
            UnreadableError: It is not a notebook, or its format is older than 4.
        """
        self._file = source.text
        self._cells = list(_code_cells(_parsed(source.text)))
        self.text = "".join(f"{_SEPARATOR}{cell.text}\n" for cell in self._cells)
        # The line end is included: it may join with a `\\r` at the end of the cell.
        lengths = [len(Lines(f"{cell.text}\n").starts) for cell in self._cells]
        # The line of the separator before each cell.
        self._before = [1 + sum for sum in accumulate(lengths, initial=0)][:-1]
        self.broken: Mapping[int, SyntaxError] = {
            before + (cell.error.lineno or 1): cell.error
            for before, cell in zip(self._before, self._cells, strict=True)
            if cell.error is not None
        }

    def placed(self, finding: SourceFinding) -> SourceFinding:
        """Returns a finding of the text with its cell, and lines counted from the cell's first."""
        at = max(bisect_right(self._before, finding.line - 1) - 1, 0)
        before = self._before[at]
        line, end_line = (max(each - before, 1) for each in (finding.line, finding.end_line))
        number = self._cells[at].number
        lines = self._file_lines[number]
        file_line = lines[min(line, len(lines)) - 1]
        return replace(finding, cell=number, line=line, end_line=end_line, file_line=file_line)

    @cached_property
    def _file_lines(self) -> Mapping[int, Sequence[int]]:
        """For each cell, the lines of the file that hold its lines."""
        lines, found = Lines(self._file), {}
        for number, (start, _) in _spans_of_sources(self._file).items():
            is_list = self._file[start] == "["
            places = [at for _, at, _ in _items(self._file, start)] if is_list else []
            found[number] = [lines.place(at)[0] for at in places or [start]]
        return found

    def fixed(self, text: str) -> str:
        """Returns the file with another text in place of its own.

        Only the source of cells that differ changes; outputs and all else stay as written.

        Args:
            text: The text after the fixes.

        Returns:
            The text of the file.

        Raises:
            ValueError: The separators of the cells are lost.
        """
        first, *parts = text.split(_SEPARATOR)
        if first or len(parts) != len(self._cells):
            raise ValueError("cells cannot be told apart")
        new = {}
        for cell, part in zip(self._cells, parts, strict=True):
            if part.removesuffix("\n") != cell.text:
                new[cell.number] = re.sub(f"(?:_ )?{_MARK}", "", part.removesuffix("\n"))
        file = self._file
        spans = _spans_of_sources(file)
        for number in sorted(new, reverse=True):  # from the last, so that earlier spans stay valid
            start, end = spans[number]
            file = file[:start] + _rewritten(file[start:end], new[number], file) + file[end:]
        return file


# --- Reading ------------------------------------------------------------------------------------


def _parsed(text: str) -> list[Any]:
    """Returns the cells of a notebook; none if its language is not Python."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"not a notebook: invalid JSON: {error.msg}", error.lineno) from error
    except RecursionError as error:
        raise UnreadableError("not a notebook: nested too deep") from error
    if isinstance(data, dict) and isinstance(data.get("worksheets"), list):
        raise UnreadableError("a notebook of a format before 4: `jupyter nbconvert` renews it")
    if not isinstance(data, dict) or not isinstance(data.get("cells"), list):
        raise UnreadableError("not a notebook: it has no list of cells")
    return data["cells"] if _is_python(data.get("metadata")) else []


def _is_python(metadata: Any) -> bool:
    for table, key in (("kernelspec", "language"), ("language_info", "name")):
        said = metadata.get(table) if isinstance(metadata, dict) else None
        language = said.get(key) if isinstance(said, dict) else None
        if isinstance(language, str) and language:
            return "python" in language.lower()
    return True


def _code_cells(cells: list[Any]) -> Iterator[_Cell]:
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source")
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if isinstance(source, str):
            yield _as_python(number, source)


def _as_python(number: int, source: str) -> _Cell:
    magic = _CELL_MAGIC.match(source)
    if _MARK in source or (magic and magic[1] not in _PYTHON_MAGICS):
        return _Cell(number, source, _commented(source))
    if _error_of(source) is None:
        return _Cell(number, source, source)
    text = _without_magics(source)
    error = _error_of(text)
    if error is None:
        return _Cell(number, source, text)
    return _Cell(number, source, _commented(source), error)


def _error_of(text: str) -> SyntaxError | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        return error
    except (RecursionError, MemoryError):
        return SyntaxError("nested too deep for Python's parser")
    except ValueError as error:  # a null byte
        return SyntaxError(str(error))
    return None


def _commented(source: str) -> str:
    """Returns as many lines of comment; their content is not needed, as they never change."""
    return "\n".join(_MARK for _ in Lines(source).starts)


def _without_magics(source: str) -> str:
    """Replaces IPython syntax by a plain name."""
    parts = []
    at = 0
    while at < len(source):
        magic = _MAGIC.match(source, at)
        if magic is None:
            end = _end_of_statement(source, at)
            parts.append(source[at:end])
            at = end
            continue
        before = magic["before"] if magic["ipython"] else magic["indent"]
        line = source[at + len(before) : magic.end()]
        parts.append(f"{before}_ {_MARK}{line}")
        at = magic.end()
        while (end_of_line := LINE_END.match(source, at)) is not None:
            parts.append(end_of_line.group())
            at = end_of_line.end()
            if not line.endswith("\\"):
                break
            rest = _REST.match(source, at)
            assert rest is not None  # it also matches the empty string
            line, at = rest.group(), rest.end()
            parts.append(_MARK + line)
    return "".join(parts)


def _end_of_statement(source: str, at: int) -> int:
    """Returns where the logical line ends, outside of strings and brackets."""
    depth = 0
    while at < len(source):
        piece = _PIECE.match(source, at)
        assert piece is not None  # the last alternative is `.`, which matches any character
        at = piece.end()
        depth += bool(piece["open"]) - bool(piece["close"])
        if piece["newline"] and depth <= 0:
            break
    return at


# --- Writing ------------------------------------------------------------------------------------


def _spans_of_sources(file: str) -> dict[int, tuple[int, int]]:
    """Returns where in the file the sources of cells are, by the number of the cell, from 1."""
    top = {key: start for key, start, _ in _items(file, _white(file, 0))}
    spans = {}
    for number, (_, start, _) in enumerate(_items(file, top["cells"]), 1):
        for key, begin, end in _items(file, start) if file[start] == "{" else ():
            if key == "source":
                spans[number] = begin, end
    return spans


def _items(file: str, at: int) -> Iterator[tuple[str, int, int]]:
    """Yields the key, the start and the end of each value of a JSON object, or of an array."""
    is_object = file[at] == "{"
    at = _white(file, at + 1)
    while file[at] not in "}]":
        key = ""
        if is_object:
            key, at = _decode(file, at)
            at = _white(file, _white(file, at) + 1)  # after the colon
        _, end = _decode(file, at)
        yield key, at, end
        at = _white(file, end)
        if file[at] == ",":
            at = _white(file, at + 1)


def _white(file: str, at: int) -> int:
    white = _WHITE.match(file, at)
    assert white is not None  # it also matches the empty string
    return white.end()


def _rewritten(raw: str, source: str, file: str) -> str:
    """Returns a cell's source as JSON: a list of lines or a string, as before."""
    is_ascii = file.isascii()
    if raw.startswith('"'):
        return json.dumps(source, ensure_ascii=is_ascii)
    spans = [(start, end) for _, start, end in _items(raw, 0)]
    # Unchanged lines keep their escapes.
    known = {_decode(raw, start)[0]: raw[start:end] for start, end in spans}
    lines = re.findall(r"[^\n]*\n|[^\n]+", source)
    written = [known.get(line) or json.dumps(line, ensure_ascii=is_ascii) for line in lines]
    opened, closed = raw[: spans[0][0]], raw[spans[-1][1] :]
    between = raw[spans[0][1] : spans[1][0]] if len(spans) > 1 else f",{opened[1:] or ' '}"
    return opened + between.join(written) + closed
