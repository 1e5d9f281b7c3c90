"""Bars where there is a terminal."""

import io
import re
import sys

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from torchdropout.verify import RULES
from torchdropout.verify.progress import Bars, bars


def test_bars_show_each_target_that_is_verified():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    columns = TextColumn("{task.description} {task.fields[count]} {task.fields[rule]}")
    rule = RULES["TD521"]
    with Progress(columns, console=console, auto_refresh=False) as progress:
        bars = Bars(progress, 2)
        bars.begin("some/folder/a:b")
        bars.tick()
        assert "a:b  loading" in out.getvalue()
        assert "folder" not in out.getvalue()
        assert "targets 0/2" in out.getvalue()
        bars.over("some/folder/a:b")
        bars.at("a:b", 1, 9, rule)
        bars.at("c:d", 2, 9, rule)
        bars.tick()
        assert "a:b 1/9 drop-rate" in out.getvalue()
        assert "c:d 2/9 drop-rate" in out.getvalue()
        bars.over("a:b")
        bars.over("never begun")
        assert progress.tasks[0].completed == 3
        out.truncate(0)
        bars.tick()
        assert "a:b" not in out.getvalue()
        assert "c:d" in out.getvalue()


class Terminal(io.StringIO):
    def isatty(self):
        return True


# Whether stderr is a terminal, the environment, whether to be quiet, whether there are bars.
SHOWN = [
    (True, {"TERM": "xterm"}, False, True),
    (True, {"TERM": "xterm"}, True, False),
    (True, {"TERM": "dumb"}, False, False),
    (False, {"TERM": "xterm"}, False, False),
    (False, {"TERM": "xterm", "FORCE_COLOR": "1"}, False, False),  # as in many a CI service
]


@pytest.mark.parametrize(("is_terminal", "variables", "quiet", "shown"), SHOWN)
def test_a_pipe_gets_nothing(monkeypatch, is_terminal, variables, quiet, shown):
    stream = Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with bars(2, quiet=quiet) as watch:
        watch.begin("a:b")
        watch.tick()
        watch.at("a:b", 1, 9, RULES["TD521"])
        watch.tick()
        watch.over("a:b")
    assert ("drop-rate" in stream.getvalue()) is shown
    assert bool(stream.getvalue()) is shown


def test_a_long_name_leaves_room_for_the_count(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with bars() as watch:
        watch.at("m:" + "Dropout" * 20, 12, 57, RULES["TD521"])
        watch.tick()
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).splitlines()
    drawn = {line.strip("\r") for line in lines if "drop-rate" in line}
    assert drawn
    for line in drawn:
        assert "12/57 drop-rate" in line
        assert len(line) <= 80
