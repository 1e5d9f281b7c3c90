"""A pytest plugin: which functions of the sources each test runs, and its processor seconds.

    python -m pytest -p mutants_map --mutants-map=build/mutants/map.json tests/verify

It adds to the map in the file; `tests/mutants.py` selects tests by it. Functions that run in other
processes are not seen. The seconds are those of the processor, with those of ended children: they
do not depend on what else the machine does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("src/torchdropout", "packages/audit/src/torchdropout_audit")


class Recorder:
    """Sees every call of a Python function between `take`s."""

    def __init__(self):
        self.codes = {}
        self._names = {}
        self._homes = tuple(f"{ROOT / source}{os.sep}" for source in SOURCES)

    def trace(self, frame, event, arg):
        # By identity: to hash a code object takes long. It is held, so that no other gets its id.
        self.codes[id(frame.f_code)] = frame.f_code

    def take(self):
        """The functions of the sources that ran since the last call, as `path::name`."""
        codes, self.codes = self.codes, {}
        found = set()
        for key, code in codes.items():
            if key not in self._names:
                self._names[key] = self._named(code), code
            if self._names[key][0]:
                found.add(self._names[key][0])
        return found

    def _named(self, code):
        if not code.co_filename.startswith(self._homes):
            return None
        path = Path(code.co_filename).relative_to(ROOT).as_posix()
        name = getattr(code, "co_qualname", code.co_name).replace(".<locals>", "")
        # A comprehension is part of the function around it.
        while name.rpartition(".")[2] in ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"):
            name = name.rpartition(".")[0]
        return f"{path}::{name or '<module>'}"


def pytest_addoption(parser):
    parser.addoption("--mutants-map", help="the file that holds the map")


def pytest_configure(config):
    if config.getoption("--mutants-map"):
        config.pluginmanager.register(_Plugin(Path(config.getoption("--mutants-map"))), "mutants")


class _Plugin:
    def __init__(self, path):
        self.path = path.resolve()
        self.tests = {}
        self.recorder = Recorder()
        self.fixtures = {}  # what the setup of a fixture ran: it is shared by all tests that use it
        sys.settrace(self.recorder.trace)
        threading.settrace(self.recorder.trace)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        before = self.recorder.codes
        self.recorder.codes = {}
        try:
            return (yield)
        finally:
            ran = self.recorder.codes
            self.fixtures[fixturedef] = ran
            self.recorder.codes = {**before, **ran}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        self.recorder.take()
        start = sum(os.times()[:4])
        # A test may have ended the tracing.
        sys.settrace(self.recorder.trace)
        try:
            return (yield)
        finally:
            seconds = sum(os.times()[:4]) - start
            for fixture in (getattr(item, "_fixtureinfo", None) and self._fixtures_of(item)) or ():
                self.recorder.codes |= self.fixtures.get(fixture, {})
            self.tests[item.nodeid] = {
                "seconds": round(seconds, 3),
                "runs": sorted(self.recorder.take()),
            }

    @staticmethod
    def _fixtures_of(item):
        return [one for many in item._fixtureinfo.name2fixturedefs.values() for one in many]

    def pytest_sessionfinish(self):
        sys.settrace(None)
        threading.settrace(None)
        known = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(known | self.tests))
