"""Writes `torchdropout_audit/code/own.py`: the signatures of torchdropout's dropouts, as they are.

    python packages/audit/make_signatures.py

The audit does without the library and so cannot ask it. `make checks` runs this.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import torchdropout as td

PATH = Path(__file__).parent / "src" / "torchdropout_audit" / "code" / "own.py"
# Not a dropout, or without a rate.
UNKNOWN = {
    *("keep_mask", "r_drop"),
    *("variational_conv2d", "variational_linear"),
    *("VariationalConv2d", "VariationalLinear"),
    *("kl", "regularisation", "sparsity"),
}
# Around another module, or without `training`: only their rates are looked at.
AROUND = (
    "EmbeddingDropout",
    "LayerDrop",
    "MultiSampleDropout",
    "MultiheadAttention",
    "WeightDrop",
    "scaled_dot_product_attention",
)
# The rates that are given by keyword only, besides the one by position.
BY_KEYWORD = {
    *("drop_prob", "prob", "embed_p", "input_dropout", "recurrent_dropout"),
    *("zoneout_hidden", "zoneout_cell"),
}


def public(home: Any) -> dict[str, Any]:
    """The functions or classes of `torchdropout.functional` or `torchdropout.nn`, by name."""
    return {
        name: value
        for name, value in sorted(vars(home).items())
        if not name.startswith("_") and callable(value)
        if name not in UNKNOWN and name not in AROUND
    }


def around() -> dict[str, Any]:
    """What is in `AROUND`, by home and name."""
    return {
        f"{home.__name__.rpartition('.')[2]}.{name}": getattr(home, name)
        for name in AROUND
        for home in (td.nn, td.functional)
        if hasattr(home, name)
    }


def modules() -> dict[str, Any]:
    """All classes of `torchdropout.nn` that have a rate."""
    held = {name: getattr(td.nn, name) for name in AROUND if hasattr(td.nn, name)}
    return dict(sorted({**public(td.nn), **held}.items()))


def by_place(function: Any) -> tuple[str, ...]:
    """The parameters that can be given by position; after a rate of attention or an RNN, none."""
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    last = next((at for at, name in enumerate(names) if name in ("dropout", "dropout_p")), None)
    return tuple(names if last is None else names[: last + 1])


def by_keyword(function: Any) -> tuple[str, ...]:
    """The rates that can be given by keyword only."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name in BY_KEYWORD)


def training(function: Any) -> bool | None:
    """The default of `training`; None where it must be given."""
    default = inspect.signature(function).parameters["training"].default
    return default if isinstance(default, bool) else None


def page() -> str:
    """The text of the module."""
    lines = [
        '"""The signatures of torchdropout\'s dropouts, by `packages/audit/make_signatures.py`."""',
        "",
        "from __future__ import annotations",
        "",
        "from collections.abc import Mapping",
        "",
        "FUNCTIONS: Mapping[str, tuple[bool | None, tuple[str, ...]]] = {",
        *(f"    {n!r}: {training(f), by_place(f)!r}," for n, f in public(td.functional).items()),
        "}",
        '"""The default of `training`, None where it must be given; the parameters by position."""',
        "",
        "MODULES: Mapping[str, tuple[str, ...]] = {",
        *(f"    {n!r}: {by_place(m)!r}," for n, m in public(td.nn).items()),
        "}",
        '"""The parameters by position."""',
        "",
        "AROUND: Mapping[str, tuple[str, ...]] = {",
        *(f"    {n!r}: {by_place(f)!r}," for n, f in around().items()),
        "}",
        '"""The same of what acts around a module or has no mode, by home and name."""',
        "",
        "BY_KEYWORD: Mapping[str, tuple[str, ...]] = {",
        *(f"    {n!r}: {more!r}," for n, m in modules().items() if (more := by_keyword(m))),
        "}",
        '"""Further rates, given by keyword only."""',
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", PATH], check=True)
