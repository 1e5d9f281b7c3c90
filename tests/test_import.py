"""What importing loads, proven in a fresh process."""

import inspect
import pickle
import sys
import types
from pathlib import Path

import pytest
import torch

import torchdropout as td
from import_graph import circles, graph

ROOT = Path(__file__).parents[1]
PACKAGES = ["src/torchdropout", "packages/audit/src/torchdropout_audit"]

HEAVY = ["click", "rich", "scipy", "numpy", "libcst", "matplotlib", "hypothesis", "pandas", "tqdm"]

LOADED_BY = """
import sys
import torch
before = set(sys.modules)
import {module}
print(*sorted({{name.split(".")[0] for name in set(sys.modules) - before}}))
"""


@pytest.mark.parametrize("module", ["torchdropout", "torchdropout.models.mc"])
def test_the_package_loads_nothing_heavier_than_torch(processes, module):
    status, text = processes.run(LOADED_BY.format(module=module))
    assert status == 0, text
    loaded = set(text.split())
    assert "torchdropout" in loaded
    assert not loaded.intersection(HEAVY)
    third_party = {n for n in loaded if n not in sys.stdlib_module_names and n[0] != "_"}
    assert third_party <= {"torchdropout", "torch"}


def test_the_verifier_loads_neither_what_it_verifies_nor_half_a_second_of_scipy(processes):
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
assert "scipy.stats" not in sys.modules
print("ok")
"""
    assert processes.run(code) == (0, "ok\n")


# Either takes half a second or more to import, as some functions of torch do on their first call.
FIRST_CALLS = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from variants import FUNCTIONS, KEY, MODULES, first
def asked(name, y):
    if y.requires_grad:
        y.sum().backward()
    loaded = {{"sympy", "torch._dynamo"}} & sys.modules.keys()
    assert not loaded, f"{{name}} has imported {{loaded}}"
for name, v in FUNCTIONS.items():
    asked(name, v(*v.tensors(grad=True)))
    asked(name, v(*v.tensors(), key=KEY))
for name, m in MODULES.items():
    asked(name, first(m.built()(*m.tensors())))
print("ok")
"""


def test_no_first_call_imports_the_compiler(processes):
    assert processes.run(FIRST_CALLS) == (0, "ok\n")


def test_a_module_is_called_as_what_it_is_there_for():
    model = torch.nn.Sequential(torch.nn.Dropout(0.5))
    assert isinstance(td.convert(model), td.convert.Conversion)
    assert isinstance(model[0], td.nn.Dropout)
    scheduler = td.schedule(model, td.schedule.Linear(2, start=0.5))
    assert isinstance(scheduler, td.schedule.DropoutScheduler)
    assert model[0].p == 0.25
    assert td.convert(model, dry_run=True).state == "dry run"
    assert list(inspect.signature(td.convert).parameters) == ["model", "rules", "dry_run"]
    assert pickle.loads(pickle.dumps(td.convert)) is td.convert
    for module in (td.convert, td.schedule):
        assert isinstance(module, types.ModuleType)
        assert repr(module).startswith(f"<module '{module.__name__}' from")


@pytest.mark.integration
@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_closes_a_circle(package):
    """Imports in functions count, too."""
    edges = graph(ROOT / package)
    assert len(edges) > 50
    assert circles(edges) == []


@pytest.mark.integration
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
