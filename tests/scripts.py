"""Imports scripts, which no package holds."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"


def loaded(file: Path) -> ModuleType:
    """The module of a script, under a name that no other module has."""
    spec = importlib.util.spec_from_file_location(f"{file.parent.name}_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for it
    spec.loader.exec_module(module)
    return module


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
