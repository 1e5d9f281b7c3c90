"""Bars where there is a terminal."""

import io

from rich.console import Console
from rich.progress import Progress, TextColumn

from torchdropout.verify import RULES
from torchdropout.verify.progress import Bars


def test_bars_show_each_target_that_is_judged():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    columns = TextColumn("{task.description} {task.completed}/{task.total} {task.fields[rule]}")
    rule = RULES["TD521"]
    with Progress(columns, console=console, auto_refresh=False) as progress:
        bars = Bars(progress)
        bars.at("a:b", 1, 9, rule)
        bars.at("c:d", 2, 9, rule)
        bars.tick()
        assert "a:b 1/9 drop-rate" in out.getvalue()
        assert "c:d 2/9 drop-rate" in out.getvalue()
        bars.over("a:b")
        bars.over("never begun")
        out.truncate(0)
        bars.tick()
        assert "a:b" not in out.getvalue()
        assert "c:d" in out.getvalue()


def test_without_a_terminal_there_are_none():
    bars = Bars(None)
    bars.at("a:b", 1, 9, RULES["TD521"])
    bars.tick()
    bars.over("a:b")
