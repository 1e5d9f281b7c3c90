"""Prints the compiler's flags of one source file of csrc/, as setup.py gives them."""

from __future__ import annotations

import ast
import platform
import sys
from pathlib import Path

SETUP = Path(__file__).resolve().parents[2] / "setup.py"


def constants() -> dict[str, object]:
    """The values of setup.py's FLAGS and INSTRUCTION_SETS, without running the rest of it."""
    names = ("FLAGS", "INSTRUCTION_SETS")
    values: dict[str, object] = {}
    for node in ast.parse(SETUP.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in names:
            exec(compile(ast.Module([node], []), str(SETUP), "exec"), values)
    return {name: values[name] for name in names}


def flags(stem: str) -> list[str]:
    """All flags of `csrc/<stem>.cpp`."""
    found = constants()
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return [*found["FLAGS"], *(found["INSTRUCTION_SETS"].get(stem, []) if x86 else [])]


if __name__ == "__main__":
    print(*flags(sys.argv[1]))
