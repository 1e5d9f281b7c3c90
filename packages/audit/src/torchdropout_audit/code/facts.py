"""Decides facts that depend on one another, without recursion."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass

Fact = Hashable
Steps = Generator[Fact, bool, bool]


@dataclass
class _Frame:
    """A fact that is being decided.

    Attributes:
        fact: The fact.
        steps: Yields the facts it needs, and returns whether it holds.
        start: How many provisional facts there were before it.
        low: The place of the outermost fact in progress that its answer rests on.
    """

    fact: Fact
    steps: Steps
    start: int
    low: int


class Facts:
    """Facts that hold if others do, each decided once: the least solution.

    A fact never depends on another's being false. A fact that needs itself, by way of others, is
    taken as false there; what rests on that is kept only once the circle is known to be false.

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
        if goal in self._known:
            return self._known[goal]
        frames: list[_Frame] = []
        places: dict[Fact, int] = {}  # of the facts in progress
        trail: list[Fact] = []  # false as far as is known
        at: dict[Fact, int] = {}  # where each is on the trail
        starts: list[int] = []  # parts of the trail, and for each what its answers rest on
        lows: list[int] = []

        def begin(fact: Fact) -> None:
            places[fact] = len(frames)
            frames.append(_Frame(fact, self._steps(fact), len(trail), len(frames)))

        def forget(start: int) -> list[Fact]:
            gone = trail[start:]
            del trail[start:]
            for fact in gone:
                del at[fact]
            while starts and starts[-1] >= start:
                starts.pop()
                lows.pop()
            return gone

        answer = False
        begin(goal)
        is_new = True
        while frames:
            frame = frames[-1]
            try:
                wanted = next(frame.steps) if is_new else frame.steps.send(answer)
            except StopIteration as end:
                frames.pop()
                place = places.pop(frame.fact)
                answer, is_new = end.value, False
                if answer:  # what relied on its being false is decided again
                    forget(frame.start)
                    self._known[frame.fact] = True
                elif frame.low >= place:
                    self._known.update(dict.fromkeys(forget(frame.start), False))
                    self._known[frame.fact] = False
                else:
                    while starts and starts[-1] >= frame.start:
                        starts.pop()
                        lows.pop()
                    starts.append(frame.start)
                    lows.append(frame.low)
                    at[frame.fact] = len(trail)
                    trail.append(frame.fact)
                    frames[-1].low = min(frames[-1].low, frame.low)
                continue
            is_new = False
            if wanted in self._known:
                answer = self._known[wanted]
            elif wanted in places:
                answer = False
                frame.low = min(frame.low, places[wanted])
            elif wanted in at:
                answer = False
                frame.low = min(frame.low, lows[bisect_right(starts, at[wanted]) - 1])
            else:
                begin(wanted)
                is_new = True
        return self._known[goal]
