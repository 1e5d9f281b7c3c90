import importlib.util
import inspect
import re
from pathlib import Path

import pytest
import torch

from torchdropout.verify import Level, check_subject
from torchdropout.verify.targets import resolve

# Other tests may run beside these: a second thread would wait for them more than it helps.
torch.set_num_threads(1)

HERE = Path(__file__).parent

# Below `quick`: enough for gross faults, in a fraction of a second.
COARSE = Level("coarse", 0.01, 0.03, 0.02, 1e5, 1 << 18, 1 << 18, 1 << 21)


def load_zoo(kind):
    """The members of `broken/zoo.py` or `correct/zoo.py`, by name."""
    path = HERE / kind / "zoo.py"
    spec = importlib.util.spec_from_file_location(f"zoo_{kind}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {
        name: member
        for name, member in vars(module).items()
        if not name.startswith("_") and callable(member)
    }


def trips(member):
    """The check that a broken dropout's docstring names."""
    found = re.search(r"Trips: ([a-z-]+)\s*$", inspect.getdoc(member) or "")
    return found and found.group(1)


BROKEN = {name: member for name, member in load_zoo("broken").items() if trips(member)}
CORRECT = {
    name: member
    for name, member in load_zoo("correct").items()
    if name not in ("Recomputed", "copy", "F", "nn", "torch")
}


def pytest_generate_tests(metafunc):
    for fixture, zoo in (("broken", BROKEN), ("correct", CORRECT)):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, zoo.values(), ids=list(zoo))


@pytest.fixture
def expected(broken):
    return trips(broken)


@pytest.fixture(scope="session")
def broken_zoo():
    return {name: trips(member) for name, member in BROKEN.items()}


@pytest.fixture(scope="session")
def judge():
    """`judge(target, **options)`: the report of a run at the coarse level."""

    def run(target, *, level=COARSE, **options):
        return check_subject(resolve(target), level=level, **options)

    return run


@pytest.fixture(scope="session")
def correct_zoo():
    return CORRECT
