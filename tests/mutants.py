"""Changes the sources in small ways, one at a time, and reports which changes no test notices.

    python tests/mutants.py map              which tests run which functions: build/mutants/map.json
    python tests/mutants.py run              200 mutations, drawn with seed 0
    python tests/mutants.py run --seed 7     200 others
    python tests/mutants.py one FILE OLD NEW TEST ...   one mutation by hand

Each mutation is made in a copy of the checkout, and the tests that run the mutated function are run
there until the first fails, for a minute: those of the file's own tests first, then those that name
it or the function, then the quickest. They run in forks of a process that has collected all tests:
`mutants_server.py`. A test that also fails without the mutation does not count. `map` and `run` go
on where an earlier one ended, and `run` writes build/mutants/<seed>.txt.

Triton's kernels are left out, and what only says what the source may assume: `assert`, annotations
and the `strict=True` of `zip`, whose error is for no user. The exact value of a limit of work, such
as `_DEEPEST`, is left out, too: no page promises it. Other mutations that change nothing that can
be observed are listed in `mutants_equivalent.txt`, each with the reason.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from math import inf
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / "build" / "mutants"
MAP = HOME / "map.json"
PARTS = HOME / "map"
FILES = 8  # of tests, that a process records
# The limit on work in another thread traces it, too: where calls are traced, it waits for ever.
ENDLESS = (
    "packages/audit/tests/test_hostile.py::test_work_in_another_thread_ends_too",
    "packages/audit/tests/test_limit.py",
    "packages/audit/tests/test_lsp.py",
)
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.txt")
SOURCES = ("src/torchdropout", "packages/audit/src/torchdropout_audit")
# `tests/triton_cases.py` has damages of its own, in the processes that have Triton.
LEFT_OUT = ROOT / "src/torchdropout/kernels/triton"
TESTS = ("tests", "packages/audit/tests")
QUICK = "not integration and not slow and not peers"

FIRST = 10.0  # recorded seconds of the tests that are run first, on their own
MOST = 60.0  # recorded seconds of all tests of a mutation, if --most says nothing else
SAYING = 6  # characters of a name that is found in a test's by no chance
# It reads the defaults of public functions, which it does not run.
_OF_DEFAULTS = "tests/test_signatures.py"
FEW = 5  # a function of so few recorded tests may run when its file is imported

# --- Mutations -----------------------------------------------------------------------------------

FLIPS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
# Where work ends that would otherwise take too long: no user sees one more or less.
LIMIT = re.compile(r"_(?:MOST|DEEPEST)(?:_[A-Z_]+)?")
SWAPS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutation:
    """A change of one place of a source file.

    Attributes:
        path: From the root of the repository.
        function: Its qualified name; empty at the level of a module or class.
        line: Where it begins.
        kind: What is done.
        start: Its first character in the text.
        end: The character after its last.
        old: What stands there.
        new: What stands there then.
        within: The line that it begins in, for short mutations of which a function has many.
        number: Which one it is, from 1, of those of its function that are alike in all of this.
    """

    path: str
    function: str
    line: int
    kind: str
    start: int
    end: int
    old: str
    new: str
    within: str
    number: int = 1

    @property
    def key(self) -> str:
        """Its name, which stays when lines are added above it."""
        within = f" in {self.within}" if self.kind in ("constant", "not") else ""
        change = f"{one_line(self.old)} -> {one_line(self.new)}"
        number = f" (number {self.number})" if self.number > 1 else ""
        return f"{self.path}::{self.function}: {change}{within}{number}"

    def applied(self, text: str) -> str:
        """The mutated text."""
        return text[: self.start] + self.new + text[self.end :]


def one_line(code: str) -> str:
    """Code without its line breaks, for a table."""
    return " ".join(code.split())


def mutations(path: str, text: str) -> list[Mutation]:
    """All mutations of a file."""
    tree = ast.parse(text)
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = text.splitlines(keepends=True)

    def place(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    found = []
    for node, function, is_condition in _visited(tree, ()):
        begin = place(node.lineno, node.col_offset)
        end = place(node.end_lineno or node.lineno, node.end_col_offset or 0)
        changes = list(_changes(node))
        if is_condition and not isinstance(node, ast.UnaryOp):
            changes.append(("condition", f"(not ({ast.unparse(node)}))"))
        for kind, new in changes:
            if new != text[begin:end]:
                found.append(
                    Mutation(
                        *(path, function, node.lineno, kind, begin, end, text[begin:end], new),
                        lines[node.lineno - 1].strip(),
                    )
                )
    alike: Counter[str] = Counter()
    for i, one in enumerate(found):
        alike[one.key] += 1
        found[i] = replace(one, number=alike[one.key])
    return found


def _compiles(text: str) -> bool:
    try:
        compile(text, "mutated", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def _visited(
    node: ast.AST, names: tuple[str, ...], inside: bool = False
) -> Iterator[tuple[ast.expr | ast.stmt, str, bool]]:
    """The nodes to mutate, each with the function that it is in, and whether it is a condition."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _is_left_out(child, node):
                continue
            below, within = names, inside
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                below = (*names, child.name)
                within = inside or not isinstance(child, ast.ClassDef)
            elif isinstance(child, ast.Lambda):
                below, within = (*names, "<lambda>"), True
            if isinstance(child, (ast.expr, ast.stmt)):
                yield child, ".".join(names) if inside else "", name in ("test", "ifs")
            yield from _visited(child, below, within)


def _is_left_out(node: ast.AST, parent: ast.AST) -> bool:
    """What no test should depend on, and f-strings, whose places Python 3.11 does not know."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        decorators = {ast.unparse(one).rpartition(".")[2] for one in node.decorator_list}
        return node.name == "__repr__" or "overload" in decorators
    if isinstance(node, ast.If):
        return ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING"
    if isinstance(node, ast.Assign) and isinstance(parent, ast.Module):
        return _is_limit(node.targets[0])
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        return node.value.id in ("Literal", "ClassVar", "Callable", "Annotated", "TypeVar")
    if isinstance(node, ast.keyword) and isinstance(parent, ast.Call):
        return ast.unparse(node) == "strict=True" and ast.unparse(parent.func) == "zip"
    return isinstance(node, (ast.JoinedStr, ast.Assert, ast.Import, ast.ImportFrom))


def _changes(node: ast.AST) -> Iterator[tuple[str, str]]:
    """What may replace a node."""
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        for i, op in enumerate(node.ops):
            if type(op) in FLIPS and not any(map(_is_limit, sides[i : i + 2])):
                ops = [*node.ops[:i], FLIPS[type(op)](), *node.ops[i + 1 :]]
                flipped = ast.Compare(node.left, ops, node.comparators)
                yield "comparison", f"({ast.unparse(flipped)})"
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", str(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        # In a sequence of one, -1 is the same place as 0.
        others = (node.value - 1, node.value * 10) if node.value else ()
        for value in (node.value + 1, *others):
            if value != node.value:  # 1e30 + 1 is the same number
                yield "constant", f"({value!r})" if value < 0 else repr(value)
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "and/or", f"({ast.unparse(ast.BoolOp(other, node.values))})"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not", f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SWAPS:
        swapped = ast.Call(ast.Name(SWAPS[node.func.id]), node.args, node.keywords)
        yield f"{node.func.id}/{SWAPS[node.func.id]}", ast.unparse(swapped)
    elif isinstance(node, ast.Return) and not _is_nothing(node.value):
        yield "returned value", "return None"
    elif isinstance(node, ast.Raise) or (
        isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Await))
    ):
        yield "deleted", "pass"
    elif isinstance(node, (ast.Assign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if isinstance(node, ast.AugAssign) or all(
            isinstance(one, (ast.Attribute, ast.Subscript)) for one in targets
        ):
            yield "deleted", "pass"


def _is_limit(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and LIMIT.fullmatch(node.id) is not None


def _is_nothing(node: ast.expr | None) -> bool:
    """Whether it is None, or a constant that a caller who asks for its truth takes for that."""
    return node is None or (isinstance(node, ast.Constant) and not node.value)


def all_mutations() -> list[Mutation]:
    """The mutations of all sources except Triton's kernels, in order."""
    found = []
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*.py")):
            if LEFT_OUT in path.parents:
                continue
            found += mutations(path.relative_to(ROOT).as_posix(), path.read_text())
    return found


def drawn(count: int, seed: int) -> list[Mutation]:
    """As many places, drawn at random, and a mutation of each; listed ones are left out."""
    places: dict[tuple[str, int, int], list[Mutation]] = {}
    for one in all_mutations():
        places.setdefault((one.path, one.start, one.end), []).append(one)
    draw = random.Random(seed)
    order = sorted(places)
    draw.shuffle(order)
    listed, chosen = equivalents(), []
    for place in order:
        one = draw.choice(places[place])
        if one.key in listed or not _compiles(one.applied((ROOT / one.path).read_text())):
            continue
        chosen.append(one)
        if len(chosen) == count:
            break
    return chosen


def equivalents() -> dict[str, str]:
    """The reason by the key: two lines each, the second is indented."""
    found: dict[str, str] = {}
    key = ""
    for line in EQUIVALENT.read_text().splitlines() if EQUIVALENT.exists() else []:
        if line.startswith("    "):
            found[key] = f"{found[key]} {line.strip()}".strip()
        elif line and not line.startswith("#"):
            key, found[line] = line, ""
    assert all(found.values()), "a mutation without a reason"
    return found


# --- Tests ---------------------------------------------------------------------------------------


class Selection:
    """The tests that may notice a mutation."""

    def __init__(self, path: Path, most: float = MOST) -> None:
        self.most = most
        if not path.exists():
            sys.exit(f"{path} is missing; `python tests/mutants.py map` makes it")
        self.seconds: dict[str, float] = {}
        self.unknown: set[str] = set()
        self.by_function: dict[str, set[str]] = {}
        self.by_path: dict[str, set[str]] = {}
        for test, known in json.loads(path.read_text()).items():
            self.seconds[test] = known["seconds"]
            for name in known["runs"]:
                self.by_function.setdefault(name, set()).add(test)
                self.by_path.setdefault(name.partition("::")[0], set()).add(test)

    def keep(self, known: list[str]) -> None:
        """Forgets tests that are gone; a new case runs what the others of its function run.

        What other new tests run is not known: they are tried after those that are known to run it.
        """
        gone, new = self.seconds.keys() - known, set(known) - self.seconds.keys()
        print(f"{len(known)} tests, {len(new)} of them not in the map")
        cases: dict[str, set[str]] = {}
        for test in new:
            cases.setdefault(_function_of(test), set()).add(test)
        functions = {_function_of(test) for test in self.seconds}
        self.unknown = {test for test in new if _function_of(test) not in functions}
        for tests in (*self.by_function.values(), *self.by_path.values()):
            for function in {_function_of(test) for test in tests}:
                tests |= cases.get(function, set())
            tests -= gone
        self.seconds |= dict.fromkeys(new, 0.1)
        for test in gone:
            del self.seconds[test]

    def of(self, mutation: Mutation) -> tuple[list[str], float]:
        """The tests in the order to run them, and the seconds of those that are left out."""
        name = f"{mutation.path}::{mutation.function}"
        found = set(self.by_function.get(name, ())) if mutation.function else set()
        if len(found) <= FEW:  # only tests that import the file once more are recorded then
            found |= self.by_path.get(mutation.path, set())
        if not found:  # it runs when it is imported: the tests of all files next to it
            room = mutation.path.rpartition("/")[0]
            found.update(*(t for path, t in self.by_path.items() if path.startswith(f"{room}/")))
        rooms = Path(mutation.path).parts
        found |= {t for t in self.unknown if Path(t.partition("::")[0]).parent.name in rooms}
        if mutation.path.startswith(SOURCES[0]) and not _is_private(mutation.function):
            found |= {test for test in self.seconds if test.startswith(_OF_DEFAULTS)}
        # Other processes run it, as those of the command line.
        found |= {test for test in self.seconds if self._is_own(test, mutation.path)}
        chosen, spent, left_out = [], 0.0, 0.0
        for test in sorted(found, key=lambda t: (self._distance(t, mutation), self._cost(t))):
            if spent + self._cost(test) > self.most:
                left_out += self._cost(test)
                continue
            spent += self._cost(test)
            chosen.append(test)
        return chosen, left_out

    def _cost(self, test: str) -> float:
        return self.seconds[test] + 0.02

    def _distance(self, test: str, mutation: Mutation) -> int:
        """0 for a test of the file, 1 for one that names the file or function, 3 if not known."""
        if self._is_own(test, mutation.path):
            return 0
        names = Path(mutation.path).stem, mutation.function.rpartition(".")[2]
        named = test.replace("-", "_")
        if any(len(n) >= SAYING and n.strip("_") in named for n in names):
            return 1
        return 3 if test in self.unknown else 2

    @staticmethod
    def _is_own(test: str, path: str) -> bool:
        """Whether its file is named for the source: test_fix.py, test_fix_cli.py for fix.py."""
        return _is_file_of(test.partition("::")[0], path)

    def batches(self, tests: list[str]) -> list[list[str]]:
        """The first few, then the rest: to collect many takes long."""
        spent, i = 0.0, 0
        while i < len(tests) and (spent := spent + self._cost(tests[i])) < FIRST:
            i += 1
        i = max(i, 1)
        return [batch for batch in (tests[:i], tests[i:]) if batch]


@cache
def _is_file_of(tests: str, path: str) -> bool:
    stem = Path(path).stem.strip("_")
    file = Path(tests)
    rooms = set(Path(path).parent.parts) - {"src", "torchdropout", "packages"}
    if stem == "init":
        return False
    same_room = not rooms or any(room in file.parts for room in rooms) or "cli" in rooms
    is_own = f"{file.stem}_".startswith(f"test_{stem}_")
    is_own |= "cli" in rooms and file.stem == "test_cli"
    return same_room and is_own


def _is_private(function: str) -> bool:
    """Whether it is not part of the public interface; a dataclass' defaults are in no function."""
    return any(n[:1] == "_" and n[:2] != "__" for n in function.split("."))


def _function_of(test: str) -> str:
    """The test without the case that it is of."""
    return test.partition("[")[0]


# --- Running -------------------------------------------------------------------------------------

# The processes that run tests, of `mutants_server.py`; most mutations need only the second.
FRESH, COLLECTED = "fresh", "collected"
# To import the tests.
START = {FRESH: 90.0, COLLECTED: 20.0}
OPTIONS = ["-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-m", QUICK]
OPTIONS += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]


class Server:
    """A process of `mutants_server.py`."""

    def __init__(self, kind: str, copy: Copy, *arguments: str) -> None:
        self.log = (copy.folder / f"{kind}.log").open("a")
        reading, writing = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", copy.tree / "tests/mutants_server.py", kind,
             str(writing), *arguments],
            stdin=subprocess.PIPE, stdout=self.log, stderr=self.log, text=True, cwd=copy.tree,
            env={**os.environ, **copy.env}, start_new_session=True, pass_fds=[writing],
        )  # fmt: skip
        os.close(writing)
        self.replies = os.fdopen(reading)

    def order(self, order: dict[str, object], limit: float) -> bool:
        """Whether it was carried out within the limit."""
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        pid = int(self.replies.readline())
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(self.replies.readline)
            is_late = False
            try:
                ended.result(limit)
            except TimeoutError:
                is_late = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        return not is_late

    def close(self) -> None:
        """Ends it."""
        self.process.stdin.close()
        self.process.wait(60)
        self.replies.close()
        self.log.close()


class Copy:
    """A copy of the checkout, where mutations are made and tests run.

    Attributes:
        folder: A temporary folder, which has the copy in `tree`.
        tests: All tests.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="torchdropout-mutants-")).resolve()
        self.tree = self.folder / "tree"
        names = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.split("\0")  # fmt: skip
        libraries = [p.relative_to(ROOT).as_posix() for p in (ROOT / "src").rglob("*.so")]
        for name in filter(None, [*names, *libraries]):
            if (ROOT / name).is_file() or (ROOT / name).is_symlink():  # some are of folders
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.tree / name, follow_symlinks=False)
        path = [self.tree / source.rpartition("/")[0] for source in SOURCES]
        path += [self.tree / folder for folder in TESTS]
        path += [self.tree]  # as for `python -m pytest`
        self.env = {
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        }
        self.changed: tuple[str, str, str] | None = None
        self.options = [*OPTIONS, f"--basetemp={self.folder / 'temporary'}"]
        self.servers: dict[str, Server] = {}

    def collect(self) -> None:
        """Starts the process that has collected all tests."""
        server = Server(COLLECTED, self, *self.options, *TESTS)
        self.servers[COLLECTED] = server
        if server.replies.readline() != "collected\n":
            raise RuntimeError((self.folder / f"{COLLECTED}.log").read_text())
        self.tests: list[str] = json.loads((self.folder / "collected.json").read_text())

    def run(self, tests: list[str], limit: float, kind: str = FRESH) -> tuple[str, str]:
        """Runs tests, or files of tests, in a process of a kind until the first fails.

        Returns:
            "passed", "failed", "import", "time" or "at import", and the test that failed.
        """
        if kind not in self.servers:
            self.servers[kind] = Server(kind, self)
        result = self.folder / "result.json"
        result.unlink(missing_ok=True)
        order = {
            "tests": [test for test in tests if "::" in test],
            "files": list(dict.fromkeys(test.partition("::")[0] for test in tests)),
            "options": self.options,
            "changed": self.changed,
            "result": str(result),
        }
        if not self.servers[kind].order(order, limit):
            return "time", ""
        if not result.exists():
            return "failed", "the process died"
        said, test = json.loads(result.read_text())
        return said, test

    @contextlib.contextmanager
    def mutated(self, path: str, text: str) -> Iterator[None]:
        """Inside, a file of the copy has this text."""
        file = self.tree / path
        before, times = file.read_text(), file.stat()
        file.write_text(text)
        self.changed = path, before, text
        try:
            yield
        finally:
            self.changed = None
            file.write_text(before)  # which is compiled already, if its time is the same
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def close(self) -> None:
        """Ends its processes and removes it."""
        for server in self.servers.values():
            server.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Result:
    """What came of a mutation.

    Attributes:
        key: See `Mutation`.
        line: Where it was.
        kind: The kind of the mutation.
        outcome: "noticed", "survived", or "no tests".
        by: The test that failed, "the time limit", or what could not be imported.
        seconds: Wall-clock time.
        tests: How many tests were to run.
        left_out: Recorded seconds of tests that would have taken too long.
    """

    key: str
    line: int
    kind: str
    outcome: str
    by: str
    seconds: float
    tests: int
    left_out: float


def tried(
    mutation: Mutation, copy: Copy, tests: Selection, sound: dict[tuple[str, str], bool]
) -> Result:
    """Runs the tests of a mutation."""
    start = time.perf_counter()
    chosen, left_out = tests.of(mutation)
    text = mutation.applied((copy.tree / mutation.path).read_text())
    outcome, by = ("no tests" if not chosen else "survived"), ""
    kind, waiting = COLLECTED, tests.batches(chosen)
    while waiting and outcome != "noticed":
        batch = waiting.pop(0)
        limit = START[kind] + 3 * sum(map(tests._cost, batch))
        with copy.mutated(mutation.path, text):
            said, test = copy.run(batch, limit, kind)
        if said == "passed":
            continue
        if said == "at import":
            kind, waiting = FRESH, [batch, *waiting]
            continue
        if said == "time":  # which the machine may be too busy for without a mutation, too
            if copy.run(batch, limit, kind)[0] != "time":
                outcome, by = "noticed", "the time limit"
            continue
        # Whether the mutation is what made it fail.
        if said == "import":
            if copy.run(batch[:1], limit, kind)[0] == "import":
                raise RuntimeError(f"tests cannot be collected without a mutation: {test}")
            outcome, by = "noticed", test or "an import"
            continue
        if (test, kind) not in sound:
            sound[test, kind] = test in batch and copy.run([test], limit, kind)[0] == "passed"
        if sound[test, kind]:
            outcome, by = "noticed", test
        elif test in batch:  # on without it, and those that have passed
            rest = batch[batch.index(test) + 1 :]
            waiting = [rest, *waiting] if rest else waiting
        else:  # the process ended: which test did it is not known
            said = copy.run(batch, limit, kind)[0]
            outcome, by = ("noticed", test) if said == "passed" else ("survived", "")
    seconds = round(time.perf_counter() - start, 1)
    return Result(
        mutation.key, mutation.line, mutation.kind, outcome, by, seconds, len(chosen),
        round(left_out, 1),
    )  # fmt: skip


def _room(path: str) -> str:
    """The folder of a file below that of its package."""
    source = next(s for s in SOURCES if path.startswith(f"{s}/"))
    room, _, file = path.removeprefix(f"{source}/").partition("/")
    return f"{source}/{room}" if file else source


def table(results: list[Result], seed: int, count: int) -> str:
    """All results, and what share was noticed."""
    noticed = sum(one.outcome == "noticed" for one in results)
    lines = [
        f"{noticed} of {len(results)} mutations noticed ({noticed / max(1, len(results)):.1%}); "
        f"seed {seed}, {count} drawn",
        "",
    ]
    rooms: dict[str, list[Result]] = {}
    for one in results:
        rooms.setdefault(_room(one.key.partition("::")[0]), []).append(one)
    for room, found in sorted(rooms.items()):
        lines.append(f"{sum(r.outcome == 'noticed' for r in found)} of {len(found)} in {room}")
    lines.append("")
    for one in sorted(results, key=lambda r: (r.outcome == "noticed", r.key)):
        left = f" ({one.left_out:g} s of tests left out)" if one.left_out else ""
        by = f" by {one.by}" if one.by else ""
        lines.append(f"{one.outcome}{by}, {one.seconds:g} s, {one.tests} tests{left}")
        lines.append(f"    line {one.line}, {one.kind}: {one.key}")
    return "\n".join([*lines, ""])


def run(
    count: int, seed: int, under: str = "", jobs: int = 1, until: float = inf, most: float = MOST
) -> int:
    """Tries the drawn mutations that were not tried yet; the exit code."""
    tests = Selection(MAP, most)
    chosen = [one for one in drawn(count, seed) if one.path.startswith(under)]
    HOME.mkdir(parents=True, exist_ok=True)
    done = HOME / f"{seed}.jsonl"
    lines = done.read_text().splitlines() if done.exists() else []
    earlier = [Result(**json.loads(line)) for line in lines]
    results = {(r.key, r.line): r for r in earlier if r.outcome != "no tests"}
    waiting = [one for one in chosen if (one.key, one.line) not in results]
    sound: dict[tuple[str, str], bool] = {}
    copies: list[Copy] = []
    free: list[Copy] = []

    def work(mutation: Mutation) -> None:
        if time.time() > until:
            return
        copy = free.pop()
        try:
            result = tried(mutation, copy, tests, sound)
        finally:
            free.append(copy)
        results[mutation.key, mutation.line] = result
        with done.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")
        print(f"{len(results)}/{len(chosen)} {result.outcome} {result.by} {result.seconds:g} s "
              f"{result.line} {result.key}", flush=True)  # fmt: skip

    try:
        for _ in range(jobs):
            copies.append(Copy())
        free += copies
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(Copy.collect, copies))
        if any(copy.tests != copies[0].tests for copy in copies):
            sys.exit("tests have other names in another folder: give their cases ids")
        tests.keep(copies[0].tests)
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(work, waiting))
    finally:
        for copy in copies:
            copy.close()
    mine = [results[m.key, m.line] for m in chosen if (m.key, m.line) in results]
    text = table(mine, seed, count)
    (HOME / f"{seed}.txt").write_text(text)
    print(text.partition("\n")[0])
    return 0 if all(one.outcome == "noticed" for one in mine) else 1


def one(path: str, old: str, new: str, tests: list[str]) -> int:
    """Replaces a text that occurs once, and runs tests; 0 where they notice it."""
    text = (ROOT / path).read_text()
    if text.count(old) != 1:
        sys.exit(f"{old!r} occurs {text.count(old)} times in {path}")
    copy = Copy()
    try:
        unchanged = copy.run(tests, 600)
        with copy.mutated(path, text.replace(old, new)):
            changed = copy.run(tests, 600)
    finally:
        copy.close()
    print(f"{path}: {old!r} -> {new!r}: without it {unchanged[0]}, with it {changed}")
    return 0 if unchanged[0] == "passed" and changed[0] != "passed" else 1


def make_map(folders: list[str], jobs: int) -> int:
    """Runs the tests, some files a process, and records which functions each runs."""
    path = [str(ROOT / source.rpartition("/")[0]) for source in SOURCES]
    path += [str(ROOT / folder) for folder in TESTS]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path)}

    def record(files: list[str]) -> bool:
        """Whether the files are recorded; those that have been are not run again."""
        name = hashlib.sha256(" ".join(files).encode()).hexdigest()[:16]
        part, log = (PARTS / f"{name}.{kind}" for kind in ("json", "txt"))
        if not part.exists():
            command = [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "mutants_map"),
                *(f"--mutants-map={part}", "-m", QUICK, *files),
                *(f"--deselect={test}" for test in ENDLESS),
            ]
            with log.open("w") as output:
                subprocess.run(command, cwd=ROOT, env=env, stdout=output, stderr=output)
            print(
                files[0], "to", files[-1], log.read_text().strip().rpartition("\n")[2], flush=True
            )
        return part.exists()

    PARTS.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as threads:
        recorded = list(threads.map(record, parts_of(folders)))
    known: dict[str, object] = {}
    for part in sorted(PARTS.glob("*.json")):
        known |= json.loads(part.read_text())
    MAP.write_text(json.dumps(known))
    return 0 if all(recorded) else 1


def parts_of(folders: list[str]) -> list[list[str]]:
    """The files of tests, a few of one folder each: a process that has run many is slow."""
    by_folder: dict[Path, list[str]] = {}
    for folder in folders:
        found = ROOT / folder
        for file in [found] if found.is_file() else sorted(found.rglob("test_*.py")):
            by_folder.setdefault(file.parent, []).append(file.relative_to(ROOT).as_posix())
    return [
        files[i : i + FILES] for files in by_folder.values() for i in range(0, len(files), FILES)
    ]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    mapping = commands.add_parser("map", help="record which tests run which functions")
    mapping.add_argument("folders", nargs="*", default=TESTS)
    mapping.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    running = commands.add_parser("run", help="try mutations drawn at random")
    running.add_argument("--count", type=int, default=200)
    running.add_argument("--seed", type=int, default=0)
    running.add_argument("--under", default="", help="only those of them whose path starts so")
    running.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    running.add_argument("--most", type=float, default=MOST, help="seconds of tests of a mutation")
    running.add_argument("--minutes", type=float, default=1e6, help="begin no mutation after")
    single = commands.add_parser("one", help="try one by hand")
    for name in ("path", "old", "new"):
        single.add_argument(name)
    single.add_argument("tests", nargs="+")
    given = parser.parse_args()
    if given.command == "map":
        return make_map(given.folders, given.jobs)
    if given.command == "one":
        return one(given.path, given.old, given.new, given.tests)
    until = time.time() + 60 * given.minutes
    return run(given.count, given.seed, given.under, given.jobs, until, given.most)


if __name__ == "__main__":
    sys.exit(main())
