"""Runs tests in forks of a process that has done what takes long; `mutants.py` starts it.

    python tests/mutants_server.py fresh REPLIES       has imported torch, and nothing of ours
    python tests/mutants_server.py collected REPLIES   has collected all tests, too

It stands in a copy of the checkout. Orders are lines of JSON in its standard input; for each it
writes two lines to the descriptor REPLIES: the process that it forked, and "ended".

A fork of the second gives the functions in memory the code that they have in a mutated file. That
is the same as importing the file where all that the mutation changes is code of functions, none of
which ran while the tests were collected. Otherwise it answers "at import", and the first is asked.
"""

from __future__ import annotations

import gc
import inspect
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from types import CodeType, FunctionType

if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this script, which is not that of the copy
    import hypothesis  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch._dynamo  # noqa: F401

    assert "torchdropout" not in sys.modules

import pytest


class Watch:
    """Notes the first test that fails, and runs only the tests that it is given, in their order."""

    def __init__(self, tests=()):
        self.failed = ""
        self.places = {test: i for i, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        if self.places:
            items[:] = [item for item in items if item.nodeid in self.places]
            items.sort(key=lambda item: self.places[item.nodeid])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report):
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report):
        if report.failed and not self.failed:
            self.failed = f"import of {report.nodeid}"


def fresh(order):
    """What came of tests, of which everything is imported anew, and the first that failed."""
    watch = Watch(order["tests"])
    code = pytest.main([*order["options"], *order["files"]], plugins=[watch])
    if code == pytest.ExitCode.OK or (code == pytest.ExitCode.NO_TESTS_COLLECTED and watch.places):
        return "passed", ""  # a test that is gone notices nothing
    return "failed" if "::" in watch.failed and code == 1 else "import", watch.failed


class Collected:
    """All tests, and the functions that they may run.

    Attributes:
        items: The tests by their names.
        functions: The functions of each file of the sources.
        ran: The code that ran while they were imported and the tests collected.
    """

    def __init__(self, recorder):
        self.recorder = recorder

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        sys.settrace(None)
        sys.dont_write_bytecode = True
        self.config = session.config
        self.items = {item.nodeid: item for item in session.items}
        self.ran = set(self.recorder.codes.values())
        self.functions = {}
        gc.unfreeze()  # what is frozen is not found
        for one in gc.get_objects():
            if type(one) is FunctionType:
                self.functions.setdefault(one.__code__.co_filename, []).append(one)
        gc.freeze()
        Path("../collected.json").write_text(json.dumps(list(self.items)))
        reply("collected")
        serve(self.run)
        return True

    def run(self, order):
        """What came of tests, and the first that failed."""
        if order["changed"] and not self.change(*order["changed"]):
            return "at import", ""
        self.config.pluginmanager.getplugin("capturemanager").read_global_capture()
        watch = Watch()
        self.config.pluginmanager.register(watch)
        items = [self.items[test] for test in order["tests"]]
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if watch.failed:
                return "failed", watch.failed
        return "passed", ""

    def change(self, path, old, new):
        """Whether the functions of a file could be given the code of its new text."""
        file = str(Path(path).resolve())
        before, after = (compile(text, file, "exec", dont_inherit=True) for text in (old, new))
        if before not in self.ran:
            return True  # a test will import it
        change = Change(before, after)
        found = [f for f in self.functions.get(file, ()) if f.__code__ in change.codes]
        if not (
            change.outermost <= {function.__code__ for function in found}
            and not change.of_classes
            and not change.changed & self.ran
        ):
            return False
        try:
            for function in found:
                if function.__code__ != change.codes[function.__code__]:
                    function.__code__ = change.codes[function.__code__]
        except ValueError:  # it has other free variables
            return False
        return True


class Change:
    """How the code of a module changes.

    Attributes:
        codes: What replaces each code.
        changed: The code that does something else then, without what is defined in it.
        outermost: The functions that this is, or is defined in, of the module or a class.
        of_classes: Whether the module itself or the body of a class changes.
    """

    def __init__(self, old, new):
        self.codes, self.changed, self.outermost = {}, set(), set()
        self.of_classes = False
        self._add(old, new, None)

    def _add(self, old, new, outermost):
        is_function = old.co_flags & inspect.CO_OPTIMIZED
        outermost = outermost or (old if is_function else None)
        self.codes[old] = new
        if own(old) != own(new):
            self.changed.add(old)
            self.outermost.add(outermost)
            self.of_classes |= outermost is None
        inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new)]
        if len(inner[0]) == len(inner[1]):  # otherwise it is `own` that differs
            for pair in zip(*inner, strict=True):
                self._add(*pair, outermost)


def own(code):
    """What a code does, without the functions in it and its lines."""
    constants = [repr(c) for c in code.co_consts if not isinstance(c, CodeType)]
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return code.co_code, constants, names, getattr(code, "co_exceptiontable", b"")


def reply(line):
    """Tells it the driver."""
    os.write(REPLIES, f"{line}\n".encode())


def serve(run):
    """Carries out each order in a fork."""
    for line in ORDERS:
        order = json.loads(line)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            try:
                os.setpgid(0, 0)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                Path(order["result"]).write_text(json.dumps(run(order)))
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(0)
        reply(child)
        os.waitpid(child, 0)
        reply("ended")


def main():
    """Collects the tests where that is asked for, and serves."""
    if sys.argv[1] == "fresh":
        return serve(fresh)
    from mutants_map import Recorder  # of the copy

    recorder = Recorder()
    sys.dont_write_bytecode = False  # to be read by all that come later
    sys.settrace(recorder.trace)
    return pytest.main(sys.argv[3:], plugins=[Collected(recorder)])


if __name__ == "__main__":
    ORDERS = os.fdopen(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    REPLIES = int(sys.argv[2])
    sys.exit(main())
