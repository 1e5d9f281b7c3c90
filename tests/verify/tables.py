"""Verifies dropouts at `standard` and writes the results to a table.

    python tests/verify/tables.py zoo   those of tests/verify/broken and correct that it lacks
    python tests/verify/tables.py ours  those of this library that it lacks

A NAME, or several, is verified again, and with `--all` everything is; the head, which says by what
backends, is written with `--all` only.

A broken dropout is checked up to the check that its docstring names: no other may fail before it.
All others get all checks.
"""

import argparse
import multiprocessing
import re
import sys
import time
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import torch  # noqa: E402

from torchdropout import backends  # noqa: E402
from torchdropout.verify import check_subject  # noqa: E402
from torchdropout.verify.targets import resolve  # noqa: E402
from verify import _ours, _zoo  # noqa: E402

LEVEL = "standard"
NONE, NO_FINDING = "-", "no finding"
SLOWEST = 5  # of which the seconds are printed
FILES = {
    name: HERE.parents[1] / "docs" / "power" / f"{file}-at-standard.txt"
    for name, file in (("zoo", "broken"), ("ours", "family"))
}
HEADS = {
    "zoo": [
        "What the verifier reports on each dropout "
        "of tests/verify/broken and tests/verify/correct:",
        "kind, name, the checks that fail, and the message of the first of them.",
    ],
    "ours": [
        "What the verifier reports on each dropout of torchdropout.functional and torchdropout.nn:",
        "name, kind, checks that pass and checks that do not apply, findings of any severity.",
    ],
}


def of_member(member):
    """The row of a dropout of the zoo: what it is, its name, the findings, the first message."""
    only = member.checks_up_to_the_fault() if member.trips else None
    report = check_subject(member.subject(), level=LEVEL, only=only)
    reporting = member.reporting_checks(report)
    said = [f.message for f in report.findings if f.name in reporting]
    kind = "broken" if member.trips else "correct"
    return [kind, member.name, ",".join(reporting) or NONE, said[0] if said else ""]


def of_ours(name):
    """The row of a dropout of this library."""
    case = _ours.CASES[name]
    report = check_subject(resolve(case.target, spec=case.spec), level=LEVEL)
    count = [check.status for check in report.checks].count
    found = "; ".join(f"{f.name}: {f.message}" for f in report.findings)
    held = f"{count('ok')} ok, {count('skip')} skipped"
    return [name, report.spec, held, found or NO_FINDING]


def zoo():
    """All dropouts by kind and name: a correct one may have the name of a broken one."""
    return {
        (kind, name): member
        for kind in ("broken", "correct")
        for name, member in _zoo.members(kind).items()
    }


def keys(table):
    return list(zoo()) if table == "zoo" else [(name,) for name in _ours.CASES]


def expected(table):
    """For each key what the third or fourth column must hold, and its number."""
    if table == "ours":
        return dict.fromkeys(keys(table), (3, NO_FINDING))
    return {key: (2, member.trips or NONE) for key, member in zoo().items()}


def read(table):
    """The rows of a table by key."""
    lines = FILES[table].read_text().splitlines()[4:] if FILES[table].exists() else []
    rows = [[*re.split(" {2,}", line, maxsplit=3), ""][:4] for line in lines if line]
    return {tuple(row[: 2 if table == "zoo" else 1]): row for row in rows}


def write(table, rows, is_new):
    """Write the rows in the order of the files or cases."""
    rows = [rows[key] for key in keys(table) if key in rows]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{t:{w}}" for t, w in zip(row, wide, strict=True)).rstrip() for row in rows]
    by = f", backends {', '.join(backends.available())}" if table == "ours" else ""
    made = f"level {LEVEL}, seed 0, torch {torch.__version__.partition('+')[0]}{by}; made by "
    head = [*HEADS[table], f"{made}`python tests/verify/tables.py {table} --all`"]
    if not is_new:
        head = FILES[table].read_text().splitlines()[: len(head)]
    FILES[table].write_text("\n".join([*head, "", *lines, ""]))


def _row(key):
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        row = of_member(zoo()[key]) if len(key) == 2 else of_ours(*key)
        return key, row, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", choices=FILES)
    parser.add_argument("names", nargs="*", help="default: those lacking")
    parser.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    given = parser.parse_args()
    every, rows, seconds = expected(given.table), read(given.table), {}
    unknown = set(given.names) - {key[-1] for key in every}
    if unknown:
        parser.error(f"Expected names of dropouts, got {', '.join(sorted(unknown))}")
    is_new = given.all or not rows
    wanted = [key for key in every if is_new or key not in rows or key[-1] in given.names]
    # Processes are replaced now and then, with whatever a broken dropout has left behind.
    context = multiprocessing.get_context("spawn")
    with context.Pool(given.jobs, maxtasksperchild=8) as pool:
        for number, (key, row, took) in enumerate(pool.imap_unordered(_row, wanted), 1):
            rows[key], seconds[key] = row, took
            print(f"{number}/{len(wanted)}", *row, flush=True)
            write(given.table, rows, is_new)
    for key in sorted(seconds, key=seconds.get)[: -SLOWEST - 1 : -1]:
        print(f"{seconds[key]:.0f} s:", *key)
    wrong = [key for key in wanted if rows[key][every[key][0]] != every[key][1]]
    for key in wrong:
        print("wrong:", *rows[key])
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
