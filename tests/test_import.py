"""What importing loads, proven in a fresh process."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from import_graph import circles, graph

ROOT = Path(__file__).parents[1]
PACKAGES = ["src/torchdropout", "packages/audit/src/torchdropout_audit"]

HEAVY = ["click", "rich", "scipy", "numpy", "libcst", "matplotlib", "hypothesis", "pandas"]

LOADED_BY = """
import sys
import torch
before = set(sys.modules)
import {module}
print(*sorted({{name.split(".")[0] for name in set(sys.modules) - before}}))
"""


def loaded_by(module):
    code = LOADED_BY.format(module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_loads_nothing_heavier_than_torch():
    loaded = loaded_by("torchdropout")
    assert "torchdropout" in loaded
    assert not loaded.intersection(HEAVY)
    third_party = {n for n in loaded if n not in sys.stdlib_module_names and n[0] != "_"}
    assert third_party <= {"torchdropout", "torch"}


def test_the_judge_does_not_load_the_judged():
    code = """
import importlib.machinery, sys
class Bar:
    def find_spec(self, name, path=None, target=None):
        if name in {f"torchdropout.{room}" for room in ("kernels", "ops", "functional", "nn")}:
            raise AssertionError("verify imported " + name)
import types, pathlib
# The package's own __init__ imports everything; an empty one shows what verify itself needs.
import importlib.util
package = types.ModuleType("torchdropout")
root = importlib.util.find_spec("torchdropout").submodule_search_locations
package.__path__ = list(root)
sys.modules["torchdropout"] = package
sys.meta_path.insert(0, Bar())
import torchdropout.verify
print("ok")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "ok", done.stderr


def test_public_names():
    import torchdropout as td

    assert td.__version__
    for name in ("Key", "MaskLayout", "keep_mask", "functional", "nn"):
        assert hasattr(td, name)
    # The module, and not its function of that name, which would hide it.
    assert td.convert.convert is importlib.import_module("torchdropout.convert").convert
    assert td.schedule.DropoutScheduler


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_closes_a_circle(package):
    """Not even one in a function."""
    edges = graph(ROOT / package)
    assert len(edges) > 50
    assert circles(edges) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_of_rooms(package):
    edges = graph(ROOT / package)
    rooms = {}
    for module, others in edges.items():
        if "." in module:
            rooms.setdefault(room(module), set()).update(map(room, others))
    rooms = {name: {other for other in others if other in rooms} for name, others in rooms.items()}
    assert circles({name: others - {name} for name, others in rooms.items()}) == []


def room(module):
    return ".".join(module.split(".")[:2])


def test_a_circle_is_found(tmp_path):
    (tmp_path / "p" / "inner").mkdir(parents=True)
    for path, text in {
        "__init__": "from . import a",
        "a": "def f():\n    from .inner.b import x",
        "inner/__init__": "from .b import x",
        "inner/b": "import p.c",
        "c": "from . import a",
        "d": "from p import c\nif TYPE_CHECKING:\n    from . import e",
        "e": "from . import d",
    }.items():
        (tmp_path / "p" / f"{path}.py").write_text(text)
    assert circles(graph(tmp_path / "p")) == [["p.a", "p.c", "p.inner.b"]]
