"""Writes `docs/audit/precision.md` from the labels, the table of packages and the snippets.

python docs/make_precision.py
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

from scipy.stats import beta

from torchdropout_audit.registry import FINDERS

DOCS = Path(__file__).parent
PAGE = DOCS / "audit" / "precision.md"
SNIPPETS = DOCS.parent / "packages" / "audit" / "tests" / "snippets"
MARK = re.compile(r"#! ([a-z-]+)( advice)?(?=\s|$)")

MENDED = "mended"  # the column of labels.csv; words: allowed

# Chosen after the rules were complete; the other packages were used while they were written.
FRESH = frozenset(
    (
        *("allennlp_models-2.10.1", "asteroid-0.7.0", "autogluon_multimodal-1.6.3"),
        *("autogluon_timeseries-1.6.3", "chemprop-2.3.1", "cogdl-0.6"),
        *("coqui_tts-0.28.0", "dalle_pytorch-1.6.6", "deeprobust-0.2.11"),
        *("deepspeed-0.3.1.dev5", "demucs-4.1.0", "denoising_diffusion_pytorch-2.3.4"),
        *("dgllife-0.3.2", "fair_esm-2.0.0", "funasr-1.4.16"),
        *("fuxictr-2.3.10", "graph4nlp-0.5.5", "grb-0.0.1"),
        *("greatx-0.0.1b0", "joeynmt-2.3.0", "lightning_bolts-0.7.0"),
        *("mmaction2-1.2.0", "mmocr-1.0.1", "mmpose-1.3.2"),
        *("mmpretrain-1.2.0", "mmsegmentation-1.2.2", "modelscope-1.40.2"),
        *("neuralhydrology-1.13.0", "nni-3.0", "openhgnn-0.7.0"),
        *("performer_pytorch-1.1.4", "PyGCL-0.1.2", "pyhealth-1.1.6"),
        *("pypots-1.5", "pytext_nlp-0.3.3", "pytorch_pretrained_bert-0.6.2"),
        *("pytorch_transformers-1.2.0", "tensorly_torch-0.5.0", "timm-0.4.12"),
        *("torchmeta-1.8.0", "torch_rechub-0.9.0", "transformers-4.30.2"),
    )
)

HEAD = """\
# How often the audit is right

Made by `python docs/make_precision.py` from [labels.csv](labels.csv), [packages.csv](packages.csv)
and the snippets in `packages/audit/tests/snippets`.

{packages} packages from PyPI, {files:,} files, {megabytes:.0f} MB, were audited, including their
tests and examples. Each of the {errors} errors was then read in its source, with the class, its
bases and its callers, and each of the {advice} findings of advice with its class, and labelled true
or false with one clause why. An error is true if the program does what the message says and that
cannot be intended; advice is true if what it says holds and was not plainly intended.

## Errors

**When they were labelled, {true} of {errors} were true: {first}. The two false ones, of two rules,
were then fixed; of what is reported now, {true} of {now_errors} are true.** The figures after
the fixes are of the same packages, so they say that the fixes worked and no more. The bound is the
lower one of Clopper and Pearson, at 95 %, one-sided.

| rule | true | false | precision when labelled | bound | precision now | bound |
|---|---|---|---|---|---|---|
{rules}

The rules were written with {known} of the packages, and corrected by what they reported there
(`known` in the column `seen`). The other {fresh} were first audited when the rules were complete:
**{fresh_true} of {fresh_errors} errors in them were true**, with a bound of {fresh_bound:.3f}. They
are not all independent of what was known: FunASR contains a copy of three faults of ESPnet, and
timm 0.4.12 one that timm 1.0.31 still has.

Rules that found no error in any package have only a precision on the snippets, which were
written for them: {silent}.

## Snippets

{snippets} files with {marks} marked errors, {clean} of the files without any mark. The audit finds
all of them and nothing else (`packages/audit/tests/test_snippets.py`).

| rule | marked errors | marked advice | files that only look like it |
|---|---|---|---|
{by_snippet}

## Advice

| rule | true | false | precision |
|---|---|---|---|
{advices}

Outside of modules, what `training-literal` and `functional-always-on` find was intended: Bayesian
layers, guidance, noise in samplers. `# torchdropout: mc-dropout` says so to readers as well.

## What was false

| place | rule | why |
|---|---|---|
{wrong}

## Packages

{cost}

| package | version | files | errors | advice | seen |
|---|---|---|---|---|---|
{table}

## How to reproduce it

```console
$ pip download --no-deps timm==1.0.31
$ unzip -d unpacked/timm-1.0.31 timm-1.0.31-py3-none-any.whl
$ python benchmarks/audit.py unpacked/*
$ torchdropout audit unpacked --no-gitignore --no-config --format json
```

`tests/peers/test_found_by_audit.py` compares the labels with what is found in those packages that
are installed.
"""


def bound(true: int, total: int) -> float:
    """The lower bound of Clopper and Pearson of a share, at 95 %, one-sided."""
    return float(beta.ppf(0.05, true, total - true + 1)) if true else 0.0


def page() -> str:
    """The page."""
    labels = read("labels")
    packages = read("packages")
    errors = [row for row in labels if row["severity"] == "error"]
    advices = [row for row in labels if row["severity"] == "advice"]
    now = [row for row in errors if not row[MENDED]]
    fresh = [row for row in errors if row["seen"] == "fresh"]
    marked, clean, files = snippets()
    seen = Counter(row["seen"] for row in packages_seen(labels, packages))
    return HEAD.format(
        packages=len(packages),
        files=sum(int(row["files"]) for row in packages),
        megabytes=sum(float(row["MB"]) for row in packages),
        errors=len(errors),
        advice=len(advices),
        true=trues(errors),
        first=share(errors),
        now_errors=len(now),
        rules="\n".join([*error_rows(errors), error_row("all", errors)]),
        known=seen["known"],
        fresh=seen["fresh"],
        fresh_true=trues(fresh),
        fresh_errors=len(fresh),
        fresh_bound=bound(trues(fresh), len(fresh)),
        silent=", ".join(f"`{name}`" for name in error_rules() if not of(errors, name)),
        snippets=files,
        marks=sum(count for (_, advice), count in marked.items() if not advice),
        clean=sum(clean.values()),
        by_snippet="\n".join(
            f"| {name} | {marked[name, False]} | {marked[name, True]} | {clean[name]} |"
            for name in FINDERS
        ),
        advices="\n".join(
            f"| {name} | {trues(rows)} | {len(rows) - trues(rows)} | {share(rows)} |"
            for name in (*FINDERS, "all")
            if (rows := advices if name == "all" else of(advices, name))
        ),
        wrong="\n".join(
            f"| {row['package']} {row['version']} `{row['path']}:{row['line']}` "
            f"| {row['rule']} ({'fixed' if row[MENDED] else row['severity']}) | {row['why']} |"
            for row in labels
            if row["verdict"] == "false"
        ),
        cost=cost(packages),
        table="\n".join(
            f"| {row['package']} | {row['version']} | {row['files']} | {row['errors']} "
            f"| {row['advice']} | {row['seen']} |"
            for row in packages_seen(labels, packages)
        ),
    )


def read(name: str) -> list[dict[str, str]]:
    """A table of `docs/audit`."""
    with (DOCS / "audit" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def of(rows: list[dict[str, str]], rule: str) -> list[dict[str, str]]:
    """The rows of a rule."""
    return [row for row in rows if row["rule"] == rule]


def trues(rows: list[dict[str, str]]) -> int:
    """How many are labelled true."""
    return sum(row["verdict"] == "true" for row in rows)


def share(rows: list[dict[str, str]]) -> str:
    """The share that is labelled true."""
    return f"{trues(rows) / len(rows):.3f}"


def error_rules() -> list[str]:
    """The rules that find errors."""
    return [name for name, finder in FINDERS.items() if finder.rule.severity == "error"]


def error_rows(errors: list[dict[str, str]]) -> list[str]:
    """A row for each rule with an error in a package."""
    return [error_row(name, rows) for name in error_rules() if (rows := of(errors, name))]


def error_row(name: str, rows: list[dict[str, str]]) -> str:
    """A row of the table of errors."""
    now = [row for row in rows if not row[MENDED]]
    parts = [name, trues(rows), len(rows) - trues(rows)]
    for some in (rows, now):
        parts += [share(some), f"{bound(trues(some), len(some)):.3f}"]
    return f"| {' | '.join(map(str, parts))} |"


def snippets() -> tuple[Counter[tuple[str, bool]], Counter[str], int]:
    """Marks by rule and whether they are advice, files without a mark by rule, and all files."""
    marked: Counter[tuple[str, bool]] = Counter()
    clean: Counter[str] = Counter()
    files = sorted(SNIPPETS.glob("*/*.py"))
    for file in files:
        marks = MARK.findall(file.read_text(encoding="utf-8"))
        marked.update((name, bool(advice)) for name, advice in marks)
        clean[file.parent.name] += not marks
    return marked, clean, len(files)


def packages_seen(
    labels: list[dict[str, str]], packages: list[dict[str, str]]
) -> list[dict[str, str]]:
    """The packages, each with whether it was at hand when the rules were written."""
    return [
        row | {"seen": "fresh" if f"{row['package']}-{row['version']}" in FRESH else "known"}
        for row in packages
    ]


def cost(packages: list[dict[str, str]]) -> str:
    """The time and memory of the audit, for the largest package and at most."""
    row = max(packages, key=lambda row: float(row["MB"]))
    peak = max(int(row["peak MiB"]) for row in packages)
    return (
        f"{row['package']} {row['version']}, {row['files']} files and {row['MB']} MB, took "
        f"{row['seconds']} s with {row['jobs']} processes, {row['seconds again']} s again with the "
        f"cache; its peak was {row['peak MiB']} MiB of memory, that of any package {peak} MiB."
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
