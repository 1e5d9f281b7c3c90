"""Prints the compiler's flags of one source file of csrc/, as setup.py gives them.

python flags.py STEM [PLATFORM]: of `csrc/STEM.cpp`, built for another platform than this one if it
is named as `sysconfig.get_platform()` would there ("linux-aarch64").
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from pathlib import Path

SETUP = Path(__file__).resolve().parents[2] / "setup.py"
NAMES = ("FLAGS", "INSTRUCTION_SETS", "instruction_set")


def definitions() -> dict[str, object]:
    """What setup.py says of flags, without running the rest of it."""
    values: dict[str, object] = {}
    for node in ast.parse(SETUP.read_text()).body:
        name = getattr(node, "name", None)
        if isinstance(node, ast.Assign):
            name = getattr(node.targets[0], "id", None)
        if name in NAMES:
            exec(compile(ast.Module([node], []), str(SETUP), "exec"), values)
    return values


def flags(stem: str, built_for: str) -> list[str]:
    """All flags of `csrc/<stem>.cpp`."""
    found = definitions()
    return [*found["FLAGS"], *found["instruction_set"](stem, built_for)]


if __name__ == "__main__":
    print(*flags(sys.argv[1], *(sys.argv[2:] or [sysconfig.get_platform()])))
