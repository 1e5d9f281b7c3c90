"""Writes `docs/found.md`: runs every case of `cases.py`, each in a process of its own.

    cd tests; python -m peers.record [FOLDER [PACKAGE ...]]

What the runs printed is kept in FOLDER, and not run again where it is there already. The sections
of a package that is not installed, or not among those named, stay as the page has them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from peers.audit_cases import SOURCES, Source
from peers.cases import FOUND, RIGHT, Case

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "found.md"

HEAD = """\
# Found in other packages

This page lists what `torchdropout verify` reports for dropouts that people use, and what
[`torchdropout audit`](#found-by-the-audit-of-sources) reports for sources. Each section gives the
command, the findings as printed (of `verify` at level `quick` with seed 0), what they mean and,
where it is short, code that shows the same without these tools. `python -m peers.record`, run in
`tests`, repeats all runs and writes this page; `tests/peers` checks the findings of each case.
Targets that are not part of a package are in `examples/found`.

Advice (a wrong p accepted, a dropped infinity that becomes NaN) is shown with the rest and is not
an error. "No thread known to us" means no more than that.
"""

SOURCES_HEAD = """\
## Found by the audit of sources

These are findings of `torchdropout audit` in sources of packages, each with code that shows it on
the package itself. They change what is trained or predicted, in current versions;
[audit/labels.csv](audit/labels.csv) has everything that was found in the packages of
[audit/precision.md](audit/precision.md), read one by one. Threads are named where we know of one.
"""

RIGHT_HEAD = """\
## Found correct

These have no error at level `quick`. `torchdropout verify -v` prints with each check the smallest
fault it finds.

| package | target | kind | verdict |
|---|---|---|---|
"""

TAIL = """\
## Missing, or not tried

- DeBERTa's `StableDropout` is gone from transformers {transformers}, which has `nn.Dropout` there;
  the copy in SEW-D is the last one. T5 calls `nn.Dropout` and `F.dropout`, and passes the mode on.
- fastai {fastai} was installed without the packages it declares (spaCy among them): what is
  verified here can be imported without them.
- Keras on TensorFlow was not tried.
- tsai, pytorch-widedeep, braindecode, kornia, MONAI, segmentation-models-pytorch, torchnlp and
  PyTorch Geometric were installed without the packages they declare. Their augmentations of data
  (`CutOut`, `ChannelsDropout`, `TSInputDropout`, `RandCoarseDropout`, ...) are not dropouts of a
  network, and torchnlp's `WeightDropLSTM` and `WeightDropGRU` are not a kind that the verifier
  knows; neither is kornia's `drop_add_residual_stochastic_depth`, which computes a share of the
  samples.
"""


def _command(case: Case) -> list[str]:
    return ["torchdropout", "verify", "--level", "quick", *case.options, case.target]


def _printed(command: list[str], folder: Path, backend: str = "", cwd: Path = ROOT) -> str:
    """What a command prints, from the folder if it is there."""
    name = hashlib.blake2b(repr((command, backend)).encode(), digest_size=8).hexdigest()
    kept = folder / f"{name}.txt"
    if not kept.exists():
        environment = {**os.environ, "NO_COLOR": "1", "KERAS_BACKEND": backend or "torch"}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *command],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if not done.stdout:
            raise SystemExit(f"{shlex.join(command)}: {done.stderr}")
        kept.write_text(done.stdout)
    return kept.read_text()


def _verified(case: Case, folder: Path) -> tuple[list[str], str]:
    """The lines of the findings, and the verdict."""
    first, second, *rest = _command(case)
    run = _printed(["-m", first, second, "--no-config", "--quiet", *rest], folder, case.backend)
    *found, verdict = (" ".join(line.split()) for line in run.splitlines())
    return found, verdict.removeprefix(f"{case.target}: ")


def _stays(package: str) -> bool:
    """Whether the page keeps what it has of a package."""
    named = sys.argv[2:]
    try:
        version(package)
    except PackageNotFoundError:
        return True
    return bool(named) and package not in named


def _version(package: str) -> str:
    """The version that is installed, or else the one that the page gives."""
    if not _stays(package):
        return version(package)
    found = re.search(rf"^(?:- )?{package} (\S+)|from {package} (\S+),", PAGE.read_text(), re.M)
    return (found[1] or found[2]) if found else "?"


def _section(case: Case, folder: Path) -> str:
    if _stays(case.package):
        return _as_it_is(f"## {case.title}")
    parts = [f"## {case.title}\n", f"{case.package} {version(case.package)}\n"]
    if case.target:
        found, verdict = _verified(case, folder)
        keras = f"KERAS_BACKEND={case.backend} " if case.backend else ""
        parts.append(f"```\n$ {keras}{shlex.join(_command(case))}")
        parts.append("\n".join([*found, verdict]) + "\n```\n")
    parts.append(_filled(case.means) + "\n")
    if case.snippet:
        shown = _printed(["-c", case.snippet], folder, case.backend)
        parts.append(f"```python\n{case.snippet}```\n\n```\n{shown}```\n")
    if case.upstream:
        parts.append(_filled(case.upstream) + "\n")
    return "\n".join(parts)


def _source_section(case: Source, folder: Path) -> str:
    if _stays(case.package):
        return _as_it_is(f"### {case.title}")
    command = ["torchdropout", "audit", *case.paths]
    site = Path(str(distribution(case.package).locate_file("")))
    run = _printed(["-m", *command, "--no-config", "--no-cache"], folder, cwd=site)
    shown = _printed(["-c", case.snippet], folder)
    found = "\n".join(line for line in run.splitlines() if line.startswith(case.paths))
    return (
        f"### {case.title}\n\n{case.package} {version(case.package)}\n\n"
        f"```\n$ {shlex.join(command)}\n{found}\n```\n\n{_filled(case.means)}\n\n"
        f"```python\n{case.snippet}```\n\n```\n{shown}```\n"
    )


def _as_it_is(heading: str) -> str:
    """The section under a heading, as the page has it."""
    print(f"{heading} stays as it is")
    page = PAGE.read_text()
    start = page.index(f"{heading}\n")
    after = re.compile(r"^##", re.MULTILINE).search(page, start + len(heading))
    return page[start : after.start() if after else None].rstrip("\n") + "\n"


def _filled(text: str, width: int = 100) -> str:
    """Text in lines, broken at spaces only."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _row(case: Case, folder: Path) -> str:
    target = f"`{case.target}`" + (f" {' '.join(case.options)}" if case.options else "")
    if _stays(case.package):
        rows = PAGE.read_text().splitlines(keepends=True)
        start = f"| {case.title} "
        return next(row for row in rows if row.startswith(start) and f"| {target} |" in row)
    _, verdict = _verified(case, folder)
    said = verdict.partition(" in ")[0]
    return f"| {case.title} {version(case.package)} | {target} | {case.means} | {said} |\n"


def main() -> None:
    """Writes the page."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    parts = [HEAD, *(_section(case, folder) for case in FOUND)]
    parts += [SOURCES_HEAD, *(_source_section(case, folder) for case in SOURCES)]
    parts.append(RIGHT_HEAD + "".join(_row(case, folder) for case in RIGHT))
    parts.append(TAIL.format(transformers=_version("transformers"), fastai=_version("fastai")))
    PAGE.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
