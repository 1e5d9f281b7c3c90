"""Verifies every dropout of this library at `standard` and writes the results to a table.

    python tests/verify/ours_table.py            all of them
    python tests/verify/ours_table.py NAME ...   these, into the existing table

A row is measured again only if it is named, or if it is missing.
"""

import argparse
import multiprocessing
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import torch  # noqa: E402

from torchdropout import backends  # noqa: E402
from torchdropout.verify import check_subject  # noqa: E402
from torchdropout.verify.targets import resolve  # noqa: E402
from verify import _ours  # noqa: E402

TABLE = HERE.parents[1] / "docs" / "power" / "family-at-standard.txt"
LEVEL = "standard"
NONE = "no finding"


@dataclass(frozen=True)
class Row:
    """The result of one: its kind, how many checks passed and did not apply, what was found."""

    kind: str
    held: str
    said: str


def run_checks(name):
    """The row of a case."""
    case = _ours.CASES[name]
    report = check_subject(resolve(case.target, spec=case.spec), level=LEVEL)
    count = [check.status for check in report.checks].count
    found = "; ".join(f"{f.name}: {f.message}" for f in report.findings)
    return Row(report.spec, f"{count('ok')} ok, {count('skip')} skipped", found or NONE)


def read():
    """The rows of the table, by name."""
    lines = TABLE.read_text().splitlines() if TABLE.exists() else []
    parts = [line.split("  ") for line in lines if line.startswith(("functional.", "nn."))]
    return {part[0]: Row(*[text.strip() for text in part[1:] if text]) for part in parts}


def write(rows):
    """Write the rows in the order of the cases."""
    names = [name for name in _ours.CASES if name in rows]
    wide = [max(len(text) for text in texts) for texts in (names, [rows[n].kind for n in names])]
    held = max(len(rows[name].held) for name in names)
    lines = [
        f"{name:{wide[0]}}  {rows[name].kind:{wide[1]}}  {rows[name].held:{held}}  "
        f"{rows[name].said}"
        for name in names
    ]
    head = [
        "What the verifier reports on each dropout of torchdropout.functional and torchdropout.nn:",
        "name, kind, checks that pass and checks that do not apply, findings of any severity.",
        f"level {LEVEL}, seed 0, torch {torch.__version__.partition('+')[0]}, backends "
        f"{', '.join(backends.available())}; made by `python tests/verify/ours_table.py`",
    ]
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text("\n".join([*head, "", *lines, ""]))


def _row(name):
    torch.set_num_threads(1)
    start = time.perf_counter()
    return name, run_checks(name), time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="default: those that the table lacks")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    given = parser.parse_args()
    unknown = set(given.names) - set(_ours.CASES)
    if unknown:
        parser.error(f"Expected names of cases, got {', '.join(sorted(unknown))}")
    rows = read()
    wanted = given.names or [name for name in _ours.CASES if name not in rows]
    context = multiprocessing.get_context("spawn")
    with context.Pool(given.jobs, maxtasksperchild=4) as pool:
        for number, (name, row, seconds) in enumerate(pool.imap_unordered(_row, wanted), 1):
            rows = {**read(), name: row}
            print(f"{number}/{len(wanted)} {name}: {row.said} ({seconds:.0f} s)", flush=True)
            write(rows)
    return any(row.said != NONE for row in rows.values())


if __name__ == "__main__":
    sys.exit(main())
