"""Finds the phrases that docs/style.md replaces: `python docs/words.py [PATH]...`.

Prints each place with what to write instead, and exits with 1 if there is one. Python is read by
its strings and comments, so a name in the code is not a phrase; every other text line by line.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STYLE = ROOT / "docs" / "style.md"

READ = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff", "Makefile"),
    *("pyproject.toml", "setup.py", "action.yml", ".pre-commit-hooks.yaml", ".ci", ".github"),
    *("docs", "src", "csrc", "packages", "tests", "benchmarks", "examples"),
)
SUFFIXES = {"", ".md", ".py", ".cpp", ".h", ".hpp", ".toml", ".yml", ".yaml", ".cff", ".sh"}
SUFFIXES |= {".j2", ".ipynb"}
# The page itself; what others wrote; the page made from `examples/dropout.ipynb`, which is read.
NOT_READ = ("docs/style.md", "docs/notebook.md", "packages/audit/tests/fixtures/")
ALLOWED = "words: allowed"


@dataclass(frozen=True)
class Phrase:
    """A row of the table."""

    instead_of: str
    write: str
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Place:
    """Where a phrase was found."""

    line: int
    found: str
    phrase: Phrase


def phrases(page: str) -> list[Phrase]:
    """The rows of the page's table whose last cell is a pattern."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \| `(.+)` \|$", page, re.MULTILINE)
    return [
        Phrase(instead_of, write, re.compile(pattern.replace(r"\|", "|"), re.IGNORECASE))
        for instead_of, write, pattern in rows
    ]


def look(text: str, known: Sequence[Phrase], *, python: bool = False) -> list[Place]:
    """The phrases in a text, by line."""
    lines = text.splitlines()
    places = []
    for number, piece in _python(text) if python else _lines(text):
        if ALLOWED in piece or ALLOWED in lines[number - 1]:
            continue
        places += [
            Place(number, match[0].strip(), phrase)
            for phrase in known
            for match in phrase.pattern.finditer(piece)
            if not _is_key(piece, match)
        ]
    return places


def _is_key(piece: str, match: re.Match[str]) -> bool:
    """Whether it is all of a quoted string: a key of data, which has its own reasons."""
    around = piece[max(0, match.start() - 1) : match.start()] + piece[match.end() : match.end() + 1]
    return around in ('""', "''")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    return enumerate(text.splitlines(), 1)


def _python(text: str) -> Iterator[tuple[int, str]]:
    """Comments and strings, a line each; all lines of a text that is not Python."""
    try:
        compile(text, "text", "exec", dont_inherit=True, flags=ast.PyCF_ONLY_AST)
    except (SyntaxError, ValueError):
        yield from _lines(text)
        return
    named = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in named:
            yield from enumerate(token.string.splitlines(), token.start[0])


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """The texts at and below these paths."""
    for path in paths:
        if path.is_dir():
            yield from files(sorted(child for child in path.iterdir() if not child.is_symlink()))
        elif path.suffix in SUFFIXES and not _left_out(path):
            yield path


def _left_out(path: Path) -> bool:
    if not path.is_relative_to(ROOT):
        return False
    name = path.relative_to(ROOT).as_posix()
    return (
        path.name == "LICENSE"
        or "__pycache__" in name
        or ".egg-info" in name
        or name.startswith(NOT_READ)
    )


def main(arguments: Sequence[str]) -> int:
    """Look everywhere, or below the given paths; 1 if a phrase was found."""
    known = phrases(STYLE.read_text(encoding="utf-8"))
    counts: Counter[str] = Counter()
    for path in files([Path(each).resolve() for each in arguments or map(ROOT.joinpath, READ)]):
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
        for place in look(path.read_text("utf-8"), known, python=path.suffix == ".py"):
            print(f'{name}:{place.line}: "{place.found}": write "{place.phrase.write}"')
            counts[name.partition("/")[0]] += 1
    if counts:
        by_folder = ", ".join(f"{count} in {name}" for name, count in sorted(counts.items()))
        print(f"{counts.total()} phrases to replace: {by_folder}. See docs/style.md.")
    return int(bool(counts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
