"""Selects rules by code, beginning of a code, name or group."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ArgumentTypeError, ArgumentValueError
from .findings import Rule


@dataclass(frozen=True)
class Choice:
    """The rules to select from.

    Attributes:
        rules: All of them, by code or name.
        noun: What messages call one: `check` or `rule`.
        listed: The command that lists them.
    """

    rules: Mapping[str, Rule]
    noun: str
    listed: str

    def chosen(self, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> frozenset[str]:
        """The names of the rules that are selected and not ignored.

        An entry is a code (`TD521`), the beginning of one (`TD52`), a name (`drop-rate`), a group
        (`rate`), or several of these separated by commas; case does not matter.

        Args:
            select: Rules to take; all when empty.
            ignore: Rules to leave out; it takes precedence over `select`.

        Returns:
            The names.

        Raises:
            ArgumentTypeError: One of them is not a sequence of strings.
            ArgumentValueError: An entry names nothing, or nothing is left.
        """
        selected = self.named("select", select) or frozenset(r.name for r in self.rules.values())
        left = selected - self.named("ignore", ignore)
        if not left:
            raise ArgumentValueError(
                f"Expected `select` and `ignore` to leave a {self.noun} to run, got "
                f"select={select!r} ({type(select).__name__}) and "
                f"ignore={ignore!r} ({type(ignore).__name__})"
            )
        return left

    def named(self, argument: str, entries: Sequence[str]) -> frozenset[str]:
        """The names of the rules that entries stand for; `argument` is named in errors."""
        if isinstance(entries, str):
            entries = (entries,)
        names: set[str] = set()
        for entry in entries:
            if not isinstance(entry, str):
                raise ArgumentTypeError(
                    f"Expected `{argument}` to hold strings, got {entry!r} ({type(entry).__name__})"
                )
            for part in filter(None, re.split(r"[\s,]+", entry)):
                matching = self.matching(part)
                if not matching:
                    raise ArgumentValueError(
                        f"Expected `{argument}` to give codes, names or groups of {self.noun}s, "
                        f"got {part!r} (str); {self.hint(part)}"
                    )
                names |= matching
        return frozenset(names)

    def matching(self, part: str) -> frozenset[str]:
        """The names of the rules that one code, beginning of a code, name or group stands for."""
        word = part.lower()
        is_code = re.fullmatch(r"td\d*", word)
        return frozenset(
            rule.name
            for rule in self.rules.values()
            if word in (rule.name, rule.group) or (is_code and rule.code.lower().startswith(word))
        )

    def hint(self, part: str) -> str:
        """A hint for a word that names nothing."""
        known = {k: None for r in self.rules.values() for k in (r.name, r.group, r.code)}
        return close_to(part, known, f"`{self.listed}` lists them")

    def completions(self) -> list[tuple[str, str]]:
        """What a shell completes an entry to: names, groups and codes, each with a line of help."""
        rules = self.rules.values()
        groups = {rule.group: f"the {self.noun}s of a group" for rule in rules}
        return [
            *((rule.name, rule.summary) for rule in rules),
            *groups.items(),
            *((rule.code, rule.name) for rule in rules),
        ]


def close_to(word: str, names: Iterable[str], otherwise: str = "") -> str:
    """A hint for an unknown name: `close to it: ...`, or `otherwise` where nothing is close.

    Case does not matter; the names are given as they are written.
    """
    known, key = {name.lower(): name for name in names}, word.lower()
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    near += [name for name in known if key and key in name and name not in near][:3]
    return f"close to it: {', '.join(known[name] for name in near)}" if near else otherwise
