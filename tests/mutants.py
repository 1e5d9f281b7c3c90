"""Changes the sources in small ways, one at a time, and lists what no quick test notices.

    python tests/mutants.py                      200 mutations of all sources, drawn with seed 0
    python tests/mutants.py --seed 7 --count 40 src/torchdropout/models/mc packages/audit/src

Each mutation is made in a copy of the checkout, where tests run until one fails: those of the
file's own name first, then those of its folder, then all quick tests. A mutation that makes them
hang is noticed. Most take 10 seconds, one that survives takes minutes. The table of a seed is
build/mutants/SEED.txt, and a run that was stopped goes on from there. Run `make test` before: a
test that fails by itself notices everything. A person reads what survives, since it may change
nothing that can be observed.

cosmic-ray and mutmut do not delete statements, do change annotations, of which no test should know,
draw no sample, and do not know which tests to try first. Triton's kernels are left out:
`tests/triton_cases.py` has damages of its own.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("src/torchdropout", "packages/audit/src")
LEFT_OUT = "src/torchdropout/_core/kernels/triton"
QUICK = "not integration and not slow and not peers"
PYTEST = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", QUICK)
LIMIT = 900.0  # seconds of one run of the tests
NOTHING_RAN = (0, 5)  # pytest's codes for "all passed" and "no test was selected"

_PAIRS = [(ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot)]
_PAIRS += [(ast.In, ast.NotIn)]
_FLIPS = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
_SWAPS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_TYPES = ("Literal", "ClassVar", "Callable", "Annotated", "TypeVar")


@dataclass(frozen=True)
class Mutation:
    """A piece of a file, and what stands in its place.

    Attributes:
        path: The file, from the root of the checkout.
        line: Where the piece begins.
        span: Its first byte, and the one after its last.
        old: The piece.
        new: What stands there then.
    """

    path: str
    line: int
    span: tuple[int, int]
    old: str
    new: str

    def __str__(self) -> str:
        old, new = (" ".join(code.split()) for code in (self.old, self.new))
        return f"{self.path}:{self.line} {old} -> {new}"

    def applied(self, text: str) -> str:
        """The mutated text."""
        data = text.encode()
        return (data[: self.span[0]] + self.new.encode() + data[self.span[1] :]).decode()


def mutations(path: str, text: str) -> Iterator[Mutation]:
    """All mutations of a file."""
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node, is_condition in _visited(ast.parse(text)):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        old = text.encode()[begin:end].decode()
        new = list(_changes(node))
        if is_condition and not isinstance(node, ast.UnaryOp):
            new.append(f"(not ({ast.unparse(node)}))")
        yield from (Mutation(path, node.lineno, (begin, end), old, one) for one in new)


def _visited(parent: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, bool]]:
    """The nodes to mutate, and whether each is a condition."""
    for name, value in ast.iter_fields(parent):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_left_out(child):
                if isinstance(child, (ast.expr, ast.stmt)):
                    yield child, name in ("test", "ifs")
                yield from _visited(child)


def _is_left_out(node: ast.AST) -> bool:
    """What no test should depend on, and f-strings, whose places Python 3.11 does not know."""
    if isinstance(node, ast.FunctionDef):
        return node.name == "__repr__" or "overload" in map(ast.unparse, node.decorator_list)
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Name) and node.value.id in _TYPES
    if isinstance(node, ast.keyword):
        return ast.unparse(node) == "strict=True"  # of `zip`: an assertion
    return isinstance(node, (ast.JoinedStr, ast.Assert, ast.Import, ast.ImportFrom))


def _changes(node: ast.AST) -> Iterator[str]:
    """What may replace a node."""
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            if type(op) in _FLIPS:
                ops = [*node.ops[:i], _FLIPS[type(op)](), *node.ops[i + 1 :]]
                yield f"({ast.unparse(ast.Compare(node.left, ops, node.comparators))})"
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield str(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        others = {node.value + 1, *((node.value - 1, node.value * 10) if node.value else ())}
        yield from (f"({value!r})" for value in sorted(others - {node.value}))
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield f"({ast.unparse(ast.BoolOp(other, node.values))})"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SWAPS:
        yield ast.unparse(ast.Call(ast.Name(_SWAPS[node.func.id]), node.args, node.keywords))
    elif isinstance(node, ast.Return):
        if node.value is not None and not (
            isinstance(node.value, ast.Constant) and not node.value.value
        ):
            yield "return None"
    elif isinstance(node, (ast.Raise, ast.AugAssign)) or _is_alone(node):
        yield "pass"


def _is_alone(node: ast.AST) -> bool:
    """Whether it is a call whose result nothing takes, or fills a place of something else."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, (ast.Call, ast.Await))
    return isinstance(node, ast.Assign) and not any(isinstance(t, ast.Name) for t in node.targets)


def drawn(count: int, seed: int, folders: list[str]) -> list[Mutation]:
    """As many places, drawn at random, and a mutation of each."""
    places: dict[tuple[str, tuple[int, int]], list[Mutation]] = {}
    for folder in folders:
        found = [ROOT / folder] if folder.endswith(".py") else sorted((ROOT / folder).rglob("*.py"))
        for file in found:
            path = file.relative_to(ROOT).as_posix()
            if not path.startswith(LEFT_OUT):
                for one in mutations(path, file.read_text(encoding="utf-8")):
                    places.setdefault((one.path, one.span), []).append(one)
    draw = random.Random(seed)
    order = draw.sample(sorted(places), len(places))
    chosen = (draw.choice(places[place]) for place in order)
    return list(itertools.islice(filter(_compiles, chosen), count))


def _compiles(mutation: Mutation) -> bool:
    try:
        compile(mutation.applied((ROOT / mutation.path).read_text(encoding="utf-8")), "", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def stages(path: str) -> list[list[str]]:
    """The arguments of pytest, for the tests to try first, next and last."""
    parts = Path(path).with_suffix("").parts
    stem = parts[-1].strip("_")
    if parts[0] == "packages":
        tests = "packages/audit/tests"
        own = [f"{tests}/test_fixtures.py", "-k", stem]
        return [own, ["-n", "2", tests], ["-n", "2", "tests/test_cli_audit.py", "tests/docs"]]
    rooms = Path("tests", *parts[2:-1])
    near = [str(folder) for folder in (rooms, *rooms.parents) if folder.name != "tests"]
    near = [folder for folder in near if (ROOT / folder).is_dir()][:1]
    found = {str(f.relative_to(ROOT)) for f in (ROOT / "tests").rglob(f"test_{stem}*.py")}
    own = sorted(f for f in found if not near or f.startswith(near[0])) or sorted(found)
    named = [own] if own and len(own) < 10 else []
    return [*named, *(["-n", "2", folder] for folder in near), ["-n", "2", "tests"]]


def is_noticed(mutation: Mutation, copy: Path) -> bool:
    """Whether a quick test fails in the copy with the mutation."""
    file = copy / mutation.path
    text = file.read_text(encoding="utf-8")
    paths = os.pathsep.join(str(copy / each) for each in ("src", "packages/audit/src"))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    file.write_text(mutation.applied(text), encoding="utf-8")
    try:
        for arguments in stages(mutation.path):
            done = subprocess.run(
                [*PYTEST, *arguments], cwd=copy, env=environment, capture_output=True, timeout=LIMIT
            )
            if done.returncode not in NOTHING_RAN:
                return True
    except subprocess.TimeoutExpired:
        return True
    finally:
        file.write_text(text, encoding="utf-8")
    return False


def main() -> int:
    """Runs what the arguments ask for, and prints how many mutations are noticed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "folders", nargs="*", default=list(SOURCES), help="folders or files of sources"
    )
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    table = ROOT / "build" / "mutants" / f"{asked.seed}.txt"
    table.parent.mkdir(parents=True, exist_ok=True)
    known = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    told = {said: word for word, _, said in (line.partition(" ") for line in known)}
    chosen = drawn(asked.count, asked.seed, asked.folders)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split("\0")
        built = [f.relative_to(ROOT).as_posix() for f in (ROOT / "src").rglob("*.so")]
        for name in filter(None, [*listed, *built]):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name, follow_symlinks=False)
        for mutation in chosen:
            said = str(mutation)
            if said not in told:
                told[said] = "noticed" if is_noticed(mutation, copy) else "survives"
                with table.open("a", encoding="utf-8") as file:
                    file.write(f"{told[said]} {said}\n")
            if told[said] == "survives":
                print(said, flush=True)
    noticed = sum(told[str(mutation)] == "noticed" for mutation in chosen)
    print(f"{noticed} of {len(chosen)} mutations are noticed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
