"""Writes `docs/found.md` from the cases: `cd tests; python -m peers.record`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from peers.audit_cases import SOURCES
from peers.cases import FOUND, RIGHT, VERSIONS, Case
from torchdropout.verify import RULES
from torchdropout_audit.registry import RULES as SOURCE_RULES

PAGE = Path(__file__).parents[2] / "docs" / "found.md"

HEAD = """\
# Found in other packages

What the tools of this library report for dropouts that people use. `python -m peers.record`, run in
`tests`, writes this page from the cases in `tests/peers`. `make test-peers` installs the packages,
runs each case, and runs a short program that shows most of the faults without these tools.
`examples/found` has the targets that are not part of a package.

## By the verifier

`torchdropout verify --level quick TARGET` ends in these errors, and in no other; a few slow targets
were given a part of the checks. Advice is not listed. Threads are named where we know of one.

{found}

## By the audit of sources

These findings of `torchdropout audit` change what is trained or predicted. [How right the audit
is](audit/precision.md) links all that was found in the packages that were audited.

{sources}

## Correct

These targets have no error at level `quick`.

{right}

## Not tried

- Keras on TensorFlow; torchnlp's `WeightDropLSTM` and `WeightDropGRU`, which are not a kind that
  the verifier knows; kornia's `drop_add_residual_stochastic_depth`, which computes a share of the
  samples; and augmentations of data (`CutOut`, `ChannelsDropout`, `RandCoarseDropout`).
- fastai, tsai, pytorch-widedeep, braindecode, kornia, MONAI, segmentation-models-pytorch, torchnlp
  and PyTorch Geometric were installed without the packages they declare. Where a package cannot be
  imported so, a class was run alone, from its source.
"""


def page() -> str:
    """The page."""
    return HEAD.format(found=_found(), sources=_sources(), right=_right())


def _found() -> str:
    rows = [
        (
            case.title,
            VERSIONS[case.package],
            _target(case),
            ", ".join(_checks(case)) or "-",
            " ".join([case.means, *([f"({case.upstream})"] if case.upstream else [])]),
        )
        for case in FOUND
    ]
    return _table(("what", "version", "target", "errors", "what is wrong"), rows)


def _checks(case: Case) -> list[str]:
    return [
        f"[{rule.name}](checks/{rule.group}.md#{rule.code.lower()}-{rule.name})"
        for rule in RULES.values()
        if rule.name in case.errors
    ]


def _sources() -> str:
    rules = {rule.name: rule.code.lower() for rule in SOURCE_RULES.values()}
    rows = [
        (
            source.title,
            VERSIONS[source.package],
            ", ".join(f"`{path}`" for path in source.paths),
            ", ".join(f"[{name}](rules.md#{rules[name]}-{name})" for name in sorted(source.found)),
            source.means,
        )
        for source in SOURCES
    ]
    return _table(("what", "version", "file", "rule", "what is wrong"), rows)


def _right() -> str:
    packages: dict[str, list[str]] = {}
    for case in RIGHT:
        name = f"{case.title} {VERSIONS[case.package]}"
        packages.setdefault(name, []).append(f"{_target(case)} ({case.means})")
    return "\n".join(f"- {name}: {', '.join(targets)}" for name, targets in packages.items())


def _target(case: Case) -> str:
    spec = f" `--spec {case.spec}`" if case.spec else ""
    return f"`{case.target}`{spec}" if case.target else "-"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


if __name__ == "__main__":
    PAGE.write_text(page())
