"""Decides facts that depend on one another, without recursion."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from typing import Any

Fact = Hashable
Steps = Generator[Fact, bool, bool]


class Facts:
    """Facts that hold if others do: the least solution.

    A fact never depends on another's being false. So each is taken as false until it is known to
    hold, and what has relied on that is decided again then.

    Args:
        steps: Returns, for a fact, a generator that yields the facts it needs and is sent whether
            each holds.
    """

    def __init__(self, steps: Callable[[Fact], Steps]) -> None:
        self._steps = steps
        self._known: dict[Fact, bool] = {}

    def known(self, fact: Fact) -> bool | None:
        """Returns whether a fact holds, if that has been decided."""
        return self._known.get(fact)

    def holds(self, goal: Fact) -> bool:
        """Returns whether a fact holds."""
        if goal not in self._known:
            self._decide(goal)
        return self._known[goal]

    def _decide(self, goal: Fact) -> None:
        said: dict[Fact, bool] = {}  # as far as is known
        relying: dict[Fact, list[Fact]] = {}  # what has relied on a false one
        waiting = [goal]
        while waiting:
            first = waiting.pop()
            if said.get(first):
                continue
            said[first] = False
            open_facts = [(first, self._steps(first))]
            answer: Any = None  # None starts a generator
            while open_facts:
                fact, steps = open_facts[-1]
                try:
                    needed = steps.send(answer)
                except StopIteration as end:
                    open_facts.pop()
                    answer = bool(end.value)
                    if answer:
                        said[fact] = True
                        waiting += relying.pop(fact, ())
                    needed = fact
                    fact = open_facts[-1][0] if open_facts else goal
                else:
                    answer = self._known.get(needed, said.get(needed))
                    if answer is None:
                        said[needed] = False
                        open_facts.append((needed, self._steps(needed)))
                if answer is False and needed not in self._known:
                    relying.setdefault(needed, []).append(fact)
        self._known.update(said)
