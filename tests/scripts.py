"""Imports the benchmarks, which are scripts that no package holds."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@contextmanager
def benchmark(name: str) -> Iterator[ModuleType]:
    """The module `name`; it and those that it imports are gone again afterwards.

    Their names are short, so that others may have them.
    """
    path, before = sys.path.copy(), set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path[:] = path
        for new in set(sys.modules) - before:
            if str(getattr(sys.modules[new], "__file__", "")).startswith(str(BENCHMARKS)):
                del sys.modules[new]
