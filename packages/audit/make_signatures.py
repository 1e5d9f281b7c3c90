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
# Not a dropout, without `training`, or around another module whose dropouts are known.
UNKNOWN = {
    *("keep_mask", "r_drop", "scaled_dot_product_attention"),
    *("variational_conv2d", "variational_linear"),
    *("EmbeddingDropout", "LayerDrop", "MultiSampleDropout", "MultiheadAttention"),
    *("VariationalConv2d", "VariationalLinear", "WeightDrop"),
    *("kl", "regularisation", "sparsity"),
}


def public(home: Any) -> dict[str, Any]:
    """The functions or classes of `torchdropout.functional` or `torchdropout.nn`, by name."""
    return {
        name: value
        for name, value in sorted(vars(home).items())
        if not name.startswith("_") and callable(value) and name not in UNKNOWN
    }


def by_place(function: Any) -> tuple[str, ...]:
    """The parameters that can be given by position."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)


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
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", PATH], check=True)
