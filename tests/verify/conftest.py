import pytest
import torch

from torchdropout.verify import LEVELS, check_subject
from torchdropout.verify.targets import resolve
from verify import _zoo

# Other tests may run at the same time: a second thread would wait for them more than it helps.
torch.set_num_threads(1)

COARSE = _zoo.COARSE
QUICK = LEVELS["quick"]  # some tests replace it there


BROKEN = _zoo.members("broken")
CORRECT = _zoo.members("correct")


def _marks(member):
    if member.level == "standard":
        return [pytest.mark.slow]
    is_quick = member.trips not in _zoo.HEAVY and member.level is None
    return [] if is_quick else [pytest.mark.integration]


def pytest_generate_tests(metafunc):
    for fixture, zoo in (("broken", BROKEN), ("correct", CORRECT)):
        if fixture in metafunc.fixturenames:
            members = [pytest.param(m, id=name, marks=_marks(m)) for name, m in zoo.items()]
            metafunc.parametrize(fixture, members)


@pytest.fixture(scope="session")
def broken_members():
    return BROKEN


@pytest.fixture(scope="session")
def correct_zoo():
    """The correct plain dropouts, by name."""
    return {m.name: m.target for m in CORRECT.values() if m.group in ("zoo", "traps")}


@pytest.fixture(scope="session")
def run_checks():
    """`(target, **options)`: the report of a run at the coarse level."""

    def run(target, *, level=COARSE, **options):
        return check_subject(resolve(target), level=level, **options)

    return run


@pytest.fixture(scope="session")
def torchs():
    """The report of torch's dropout at quick."""
    return check_subject(resolve(torch.nn.Dropout), level=QUICK)
