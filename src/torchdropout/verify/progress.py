"""Progress bars while targets are verified."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..reporting.findings import Rule


class Bars:
    """A bar for each running target, on stderr where that is a terminal."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def at(self, target: str, done: int, total: int, rule: Rule) -> None:
        """A check begins."""
        if self._progress is None:
            return
        if target not in self._tasks:
            self._tasks[target] = self._progress.add_task(target, total=None, rule="")
        self._progress.update(self._tasks[target], completed=done, total=total, rule=rule.name)

    def over(self, target: str) -> None:
        """A target's run has ended."""
        if self._progress is not None and target in self._tasks:
            self._progress.remove_task(self._tasks.pop(target))

    def tick(self) -> None:
        """Redraw the bars."""
        if self._progress is not None:
            self._progress.refresh()


@contextlib.contextmanager
def bars() -> Iterator[Bars]:
    """Show bars, and remove them at the end."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Bars(None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.completed}/{task.total}  {task.fields[rule]}", markup=False),
        TimeElapsedColumn(),
    )
    # The target's own prints go to stderr unchanged: rich must not capture them. Nor may it draw
    # from its own thread: a forked process would find its locks taken.
    with Progress(
        *columns,
        console=console,
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        yield Bars(progress)
