"""What an audit costs in one process: a package, again with the cache, a long file, many files.

    python benchmarks/audit_cost.py unpacked/transformers-5.24.0

A folder is as for `benchmarks/audit.py`. Writes `docs/audit/cost.csv`: seconds of the processor.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from pathlib import Path

from audit import name_and_version

from torchdropout_audit.run import audit_paths

RESULTS = Path(__file__).parents[1] / "docs" / "audit" / "cost.csv"
# 10,000 of them have fewer characters than the audit reads of one file.
CLASS = """
class B{i}(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.d, self.b = nn.Dropout(0.1), nn.BatchNorm1d(n)
    def forward(self, x):
        return self.b(self.d(x))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", type=Path, help="the folder of a package")
    package = parser.parse_args().package
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHDROPOUT_CACHE"] = str(Path(folder, "cache"))
        said = " ".join(name_and_version(package))
        rows += [
            [said, *measured(package, cache=True)],
            [f"{said} again", *measured(package, True)],
        ]
        for count in (1_000, 3_000, 10_000):
            long = Path(folder, "long.py")
            long.write_text("from torch import nn\n" + "".join(map(block, range(count))))
            rows.append([f"a file of {count} classes", *measured(long, False)])
        for count in (1_000, 4_000, 20_000):
            many = Path(folder, f"many{count}")
            many.mkdir()
            for i in range(count):
                (many / f"part{i}.py").write_text("from torch import nn\n" + block(i))
            rows.append([f"{count} files of a class", *measured(many, False)])
    with RESULTS.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "files", "findings", "complete", "seconds"])
        writer.writerows(rows)


def block(i: int) -> str:
    return CLASS.format(i=i)


def processor() -> float:
    """Returns the seconds so far, also of the process that audits a long file."""
    return sum(os.times()[:4])


def measured(path: Path, cache: bool) -> list[object]:
    """Returns the number of files and of findings, whether all was read, and the seconds."""
    began = processor()
    report = audit_paths([path], jobs=1, cache=cache, respect_gitignore=False)
    seconds = processor() - began
    print(path, report.files, len(report.findings), f"{seconds:.2f}", flush=True)
    return [report.files, len(report.findings), report.complete, f"{seconds:.2f}"]


if __name__ == "__main__":
    main()
