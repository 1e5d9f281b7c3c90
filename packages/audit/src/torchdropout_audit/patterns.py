"""Patterns in the syntax of a `.gitignore`, and what git ignores.

`pathspec` is not used: it answers for whole paths of files. A walk that leaves out folders needs
the answer for each folder by itself; see decision 10.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from .reporting.reading import read_bytes


def is_pattern(line: str) -> bool:
    """Whether a line of a `.gitignore` matches anything.

    Example:
        >>> [is_pattern(line) for line in ("tests/*_gen.py", "!", "# a comment")]
        [True, False, False]
    """
    return bool(_read([line]))


class Patterns:
    """Whether patterns match a path, or a folder that it is in.

    Args:
        root: The folder that they are relative to.
        patterns: Lines of a `.gitignore`.
    """

    def __init__(self, root: Path, patterns: Sequence[str]) -> None:
        self._root = os.path.realpath(root)
        self._patterns = _read(patterns)

    def __call__(self, path: str, is_folder: bool = False) -> bool:
        """Whether they match the file, or the folder, at a path."""
        if not self._patterns:
            return False
        # The path is not resolved: a link is matched by its own name.
        folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100
        relative = os.path.relpath(os.path.join(os.path.realpath(folder), name), self._root)  # noqa: PTH118
        steps = Path(relative).parts
        paths = list(accumulate(steps, "{}/{}".format))  # of the folders above it, and its own
        return ".." not in steps and any(
            _ignores(self._patterns, each, is_folder or each is not paths[-1]) for each in paths
        )


class Ignored:
    """What the `.gitignore` files of a work tree ignore; the one nearest to a path decides."""

    def __init__(self, patterns: tuple[tuple[str, list[_Pattern]], ...]) -> None:
        self._patterns = patterns  # nearest first

    @classmethod
    def above(cls, start: Path) -> Ignored | None:
        """Reads the files of the folders above one, up to the work tree's.

        Args:
            start: A folder. If it is itself ignored, nothing in it is: it was named on purpose.

        Returns:
            What they ignore; None outside a work tree.
        """
        start = start.resolve()
        tops = [folder for folder in (start, *start.parents) if (folder / ".git").exists()]
        if not tops:
            return None
        found = cls(()).with_file(tops[0] / ".git" / "info" / "exclude", str(tops[0]))
        steps = start.relative_to(tops[0]).parts
        for depth, name in enumerate(steps):
            folder = tops[0].joinpath(*steps[:depth])
            found = found.with_file_of(str(folder))
            if found(str(folder / name), is_folder=True):
                return cls(())
        return found

    def with_file_of(self, folder: str) -> Ignored:
        """Adds a folder's own `.gitignore`, if it has one."""
        return self.with_file(Path(folder, ".gitignore"), folder)

    def with_file(self, path: Path, folder: str) -> Ignored:
        """Adds a file whose patterns are relative to a folder."""
        try:
            data = read_bytes(path, _MOST_BYTES)
        except OSError:  # it does not exist, or is not a file
            return self
        patterns = _read(data.decode(errors="replace").split("\n"))
        return Ignored(((folder, patterns), *self._patterns))

    def __call__(self, path: str, is_folder: bool) -> bool:
        """Whether the file, or the folder, at a path is ignored."""
        for folder, patterns in self._patterns:
            relative = path[len(folder) :].lstrip(os.sep).replace(os.sep, "/")
            said = _ignores(patterns, relative, is_folder)
            if said is not None:
                return said
        return False


@dataclass(frozen=True)
class _Pattern:
    """A line of a `.gitignore`.

    Attributes:
        steps: What the steps of a path match, in order; None for any number of steps.
        is_negated: Whether it begins with `!`.
        is_for_folders: Whether it matches folders only.
    """

    steps: Sequence[re.Pattern[str] | None]
    is_negated: bool
    is_for_folders: bool

    def matches(self, path: Sequence[str]) -> bool:
        """Whether it matches all steps of a path.

        The time is at most the number of its steps times that of the path's. After `**`, the first
        place where the next steps match is as good as any later one, so nothing earlier than the
        last `**` is tried again.
        """
        at = place = 0  # in the path, in the pattern
        after: tuple[int, int] | None = None  # the last `**`: where it may end, and what follows
        while at < len(path):
            step = self.steps[place] if place < len(self.steps) else _NOTHING
            if step is None:
                place += 1
                after = (at, place)
            elif step.fullmatch(path[at]):
                at, place = at + 1, place + 1
            elif after is None:
                return False
            else:
                after = (after[0] + 1, after[1])
                at, place = after
        return all(step is None for step in self.steps[place:])


def _ignores(patterns: Sequence[_Pattern], relative: str, is_folder: bool) -> bool | None:
    """True for ignored, False for a pattern with `!`, None for no match.

    The folders above are not looked at: the caller does not enter an ignored folder.
    """
    path = relative.split("/")
    for pattern in reversed(patterns):
        if (is_folder or not pattern.is_for_folders) and pattern.matches(path):
            return not pattern.is_negated
    return None


def _read(lines: Iterable[str]) -> list[_Pattern]:
    """Reads lines; https://git-scm.com/docs/gitignore#_pattern_format."""
    found = []
    for line in lines:
        if len(line) > _MOST_CHARACTERS:
            continue
        line = line.rstrip("\r")
        text = line.rstrip(" ")
        if text.endswith("\\"):  # it escapes the space after it
            text = line[: len(text) + 1]
        if not text or text.startswith("#"):
            continue
        is_negated = text.startswith("!")
        text = text.removeprefix("!")
        is_for_folders = text.endswith("/")
        text = text.removesuffix("/")
        if not text:
            continue
        anywhere: list[re.Pattern[str] | None] = [] if "/" in text else [None]
        with contextlib.suppress(re.error):  # not a pattern, as `[z-a]`: git skips it, too
            steps = _steps(text.removeprefix("/"))
            found.append(_Pattern((*anywhere, *steps), is_negated, is_for_folders))
    return found


_GLOB = re.compile(
    r"(?P<folders>(?:(?<=/)|^)\*\*/)|(?P<all>(?<=/)\*\*$)|(?P<some>\*+)|(?P<one>\?)"
    r"|\[(?P<no>[!^]?)(?P<set>\]?(?:\\.|[^\]\\])*)\]|\\(?P<plain>.)|(?P<open>\[)|.",
    re.DOTALL,
)


_MOST_BYTES = 10_000_000  # of a file
_MOST_CHARACTERS = 10_000  # of a line; those of a path are at most 4,096
_NOTHING = re.compile("(?!)")
_ANYTHING = re.compile(".*", re.DOTALL)


def _steps(glob: str) -> list[re.Pattern[str] | None]:
    """Returns what each step of a path is to match.

    Raises:
        re.error: It is not a pattern.
    """
    steps: list[re.Pattern[str] | None] = []
    chunks = [""]  # of the current step: what is between the `*`
    for match in _GLOB.finditer(glob):
        if match["folders"]:
            steps += [None]
            continue
        if match["all"]:
            return [*steps, _ANYTHING, None]
        if match["some"]:
            chunks.append("")
            continue
        letter = match["plain"] or match.group()
        if letter == "/" and not match["set"]:
            steps.append(_step(chunks))
            chunks = [""]
        elif match["one"]:
            chunks[-1] += "."
        elif match["set"]:
            inside = re.sub(r"([\[&~|]|^\]|^\^)", r"\\\1", match["set"])
            chunks[-1] += f"(?!/)[{'^' if match['no'] else ''}{inside}]"
        elif match["open"]:  # never closed: matches nothing
            return [_NOTHING]
        else:
            chunks[-1] += re.escape(letter)
    return [*steps, _step(chunks)]


def _step(chunks: list[str]) -> re.Pattern[str]:
    """Returns the regex of a step, given what is between its `*`.

    Between two `*` the first match is as good as any later one. A lookahead is not tried again
    once it has matched: without it, `*a*a*a*b` would be tried in all ways.
    """
    if len(chunks) == 1:
        return re.compile(chunks[0], re.DOTALL)
    first, *inner, last = chunks
    found = [f"(?=(?P<_{n}>.*?{each}))(?P=_{n})" for n, each in enumerate(inner)]
    return re.compile(f"{first}{''.join(found)}.*{last}", re.DOTALL)
