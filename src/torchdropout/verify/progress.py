"""Progress bars while targets are verified."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from ..reporting.findings import Rule


class Bars:
    """A bar for each running target, on stderr if that is a terminal."""

    def __init__(self, progress: Progress | None, targets: int = 1) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._over: set[str] = set()
        self._targets = targets
        self._all: TaskID | None = None
        if progress is not None and targets > 1:
            self._all = progress.add_task("targets", total=targets, count=f"0/{targets}", rule="")

    def begin(self, target: str) -> None:
        """A target begins to load."""
        if self._progress is not None and target not in self._tasks:
            self._tasks[target] = self._progress.add_task(
                re.sub(r"\S*/", "", target), total=None, count="", rule="loading"
            )

    def at(self, target: str, done: int, total: int, rule: Rule) -> None:
        """A check begins."""
        if self._progress is not None:
            self.begin(target)
            self._progress.update(
                self._tasks[target],
                completed=done,
                total=total,
                count=f"{done}/{total}",
                rule=rule.name,
            )

    def over(self, target: str) -> None:
        """A target's run has ended."""
        self._over.add(target)
        if self._progress is not None and target in self._tasks:
            self._progress.remove_task(self._tasks.pop(target))
        if self._progress is not None and self._all is not None:
            done = len(self._over)
            self._progress.update(self._all, completed=done, count=f"{done}/{self._targets}")

    def tick(self) -> None:
        """Redraw the bars."""
        if self._progress is not None:
            self._progress.refresh()


@contextlib.contextmanager
def bars(targets: int = 1, *, quiet: bool = False) -> Iterator[Bars]:
    """Show bars on a terminal, and remove them at the end.

    Args:
        targets: The number of targets; with several there is a bar for all of them, too.
        quiet: Whether to show nothing.
    """
    console = Console(stderr=True)
    # Rich treats a pipe as a terminal if FORCE_COLOR is set, as CI services do.
    if quiet or not sys.stderr.isatty() or console.is_dumb_terminal:
        yield Bars(None)
        return
    with Progress(
        *_columns(),
        console=console,
        transient=True,
        expand=True,
        # The target's own prints go to stderr unchanged: rich must not capture them. Nor may it
        # draw from its own thread: a forked process would find its locks taken.
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        yield Bars(progress, targets)


def _columns() -> tuple[TextColumn | BarColumn | TimeElapsedColumn, ...]:
    # The name of a target is cut if a line would be too long; the rest stays.
    name = Column(ratio=1, no_wrap=True, overflow="ellipsis", min_width=8)
    return (
        TextColumn("{task.description}", markup=False, table_column=name),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[rule]}", table_column=Column(min_width=20)),
        TimeElapsedColumn(),
    )
