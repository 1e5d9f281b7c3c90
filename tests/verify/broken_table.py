"""Verifies all dropouts of the zoo at `standard` and writes the results to a table.

    python tests/verify/broken_table.py            all of them
    python tests/verify/broken_table.py NAME ...   these, into the existing table

A broken dropout is checked up to the check that its docstring names: no other may fail before it.
A correct one gets all checks.
"""

import argparse
import multiprocessing
import sys
import time
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import torch  # noqa: E402

from torchdropout.verify import check_subject  # noqa: E402
from verify import _zoo  # noqa: E402

TABLE = HERE.parents[1] / "docs" / "power" / "broken-at-standard.txt"
LEVEL = "standard"
NONE = "-"
SLOWEST = 5  # of which the seconds are printed


def run_checks(member):
    """The row of a dropout: what it is, its name, the findings, and the first message."""
    only = member.checks_up_to_the_fault() if member.trips else None
    report = check_subject(member.subject(), level=LEVEL, only=only)
    reporting_checks = member.reporting_checks(report)
    said = [f.message for f in report.findings if f.name in reporting_checks]
    kind = "broken" if member.trips else "correct"
    return kind, member.name, ",".join(reporting_checks) or NONE, said[0] if said else ""


def is_right(member, row):
    """Whether the row is as expected: only the named check failed; or none."""
    return row[2] == (member.trips or NONE)


def zoo():
    """All dropouts by kind and name: a correct one may have the name of a broken one."""
    return {
        (kind, name): member
        for kind in ("broken", "correct")
        for name, member in _zoo.members(kind).items()
    }


def read():
    """The rows of the table, by kind and name."""
    lines = TABLE.read_text().splitlines() if TABLE.exists() else []
    rows = [line.split(maxsplit=3) for line in lines if line.startswith(("broken ", "correct "))]
    return {(row[0], row[1]): (*row, "")[:4] for row in rows}


def write(rows):
    """Broken ones first, each in the order of the files."""
    width = max(len(name) for _, name in rows)
    found = max(len(row[2]) for row in rows.values())
    lines = [f"{k:7}  {n:{width}}  {c:{found}}  {m}".rstrip() for k, n, c, m in rows.values()]
    head = [
        "What the verifier reports on each dropout "
        "of tests/verify/broken and tests/verify/correct:",
        "kind, name, the checks that fail, and the message of the first of them.",
        f"level {LEVEL}, seed 0, torch {torch.__version__.partition('+')[0]}; "
        "made by `python tests/verify/broken_table.py`",
    ]
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text("\n".join([*head, "", *lines, ""]))


def _row(key):
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        row = run_checks(zoo()[key])
        return key, row, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="default: all")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    given = parser.parse_args()
    members = zoo()
    unknown = set(given.names) - {name for _, name in members}
    if unknown:
        parser.error(f"Expected names of dropouts of the zoo, got {', '.join(sorted(unknown))}")
    wanted = [key for key in members if not given.names or key[1] in given.names]
    rows, wrong, seconds = read(), [], {}
    # Processes are replaced now and then, with whatever a broken dropout has left behind.
    context = multiprocessing.get_context("spawn")
    with context.Pool(given.jobs, maxtasksperchild=8) as pool:
        for number, (key, row, took) in enumerate(pool.imap_unordered(_row, wanted), 1):
            rows[key], seconds[key] = row, took
            if not is_right(members[key], row):
                wrong.append(row)
            print(f"{number}/{len(wanted)}", *row, flush=True)
            write({key: rows[key] for key in members if key in rows})
    for kind, name in sorted(seconds, key=seconds.get)[: -SLOWEST - 1 : -1]:
        print(f"{seconds[kind, name]:.0f} s: {kind} {name}")
    for _, name, found, message in wrong:
        print(f"wrong: {name}: {found}: {message}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
