"""Audit packages and report the cost: files, seconds, memory of all processes, findings.

    python benchmarks/audit.py site-packages/transformers site-packages/timm ...
    python benchmarks/audit.py unpacked/timm-1.0.31 unpacked/transformers-5.24.0 ...

A folder is a package next to its `*.dist-info`, or a wheel or source distribution unpacked into
NAME-VERSION. Writes `docs/audit/packages.csv`, one row per package; rows of other packages stay.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torchdropout_audit.files import find_files
from torchdropout_audit.findings import SourceReport
from torchdropout_audit.run import audit_paths, may_break_a_rule

RESULTS = Path(__file__).parents[1] / "docs" / "audit" / "packages.csv"
FIELDS = [
    *("package", "version", "files", "MB", "files parsed", "MB parsed", "jobs", "seconds"),
    *("seconds again", "peak MiB", "errors", "advice", "problems", "findings"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("packages", nargs="+", type=Path, help="folders of packages")
    parser.add_argument("--jobs", type=int, help="processes; default: as many as processors")
    parser.add_argument("--rounds", type=int, default=3, help="runs, of which the fastest counts")
    arguments = parser.parse_args()
    rows = read_rows()
    for package in arguments.packages:
        row = measure(package, arguments.jobs or len(os.sched_getaffinity(0)), arguments.rounds)
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
        rows[f"{row['package']} {row['version']}"] = row
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[name] for name in sorted(rows, key=str.lower))


def measure(package: Path, jobs: int, rounds: int) -> dict[str, object]:
    files, _ = find_files([package])
    sizes = {file: Path(file).stat().st_size for file in files}
    parsed = [size for file, size in sizes.items() if may_break_a_rule(Path(file).read_bytes())]
    seconds = []
    for _ in range(rounds):
        with peak_memory() as peak:
            report = audit_paths([package], jobs=jobs, cache=False)
        seconds.append(report.seconds)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHDROPOUT_CACHE"] = folder
        audit_paths([package], jobs=jobs)
        again = audit_paths([package], jobs=jobs)
    assert again.findings == report.findings
    counts = Counter(finding.severity for finding in report.findings)
    name, number = name_and_version(package)
    return {
        "package": name,
        "version": number,
        "files": report.files,
        "MB": f"{sum(sizes.values()) / 1e6:.2f}",
        "files parsed": len(parsed),
        "MB parsed": f"{sum(parsed) / 1e6:.2f}",
        "jobs": jobs,
        "seconds": f"{min(seconds):.2f}",
        "seconds again": f"{again.seconds:.2f}",
        "peak MiB": round(max(peak) / 2**20),
        "errors": counts["error"],
        "advice": counts["advice"],
        "problems": len(report.problems),
        "findings": by_rule(report),
    }


def by_rule(report: SourceReport) -> str:
    counts = Counter(
        f"{f.name}{'' if f.severity == 'error' else ' (advice)'}" for f in report.findings
    )
    return "; ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def name_and_version(package: Path) -> tuple[str, str]:
    """Returns them from the folder's name or, in a `site-packages`, from its `*.dist-info`."""
    stem, _, number = package.name.rpartition("-")
    if stem and number[:1].isdigit():
        return stem, number
    name = package.name.replace("-", "_").lower()
    for info in package.parent.glob("*.dist-info"):
        named, _, number = info.name.removesuffix(".dist-info").rpartition("-")
        listed = info / "top_level.txt"
        tops = listed.read_text().split() if listed.exists() else [named]
        if name in {top.replace("-", "_").lower() for top in (*tops, named)}:
            return package.name, number
    return package.name, ""


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Proportional memory of this process and its children, sampled every 20 ms (Linux)."""
    peak = [0]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], sum(map(memory, (os.getpid(), *children()))))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def children() -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        found += map(int, path.read_text().split())
    return found


def memory(pid: int) -> int:
    """Bytes of a process; shared pages count in proportion, so that a sum is right."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # the process has ended
        return 0
    return sum(int(line.split()[1]) << 10 for line in rollup.splitlines() if line[:4] == "Pss:")


def read_rows() -> dict[str, dict[str, object]]:
    if not RESULTS.exists():
        return {}
    with RESULTS.open(newline="") as file:
        return {f"{row['package']} {row['version']}": dict(row) for row in csv.DictReader(file)}


if __name__ == "__main__":
    main()
