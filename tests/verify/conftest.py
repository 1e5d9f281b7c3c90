import pytest
import torch

from torchdropout.verify import LEVELS, check_subject
from torchdropout.verify.targets import resolve
from verify import _zoo

# Other tests may run at the same time: a second thread would wait for them more than it helps.
torch.set_num_threads(1)

COARSE = _zoo.COARSE
QUICK = LEVELS["quick"]  # some tests replace it there

# Faults that no check sees, and what would see each. Strict: a fix of the check takes them out.
MISSED: dict[str, str] = {}

# Correct dropouts that a check reports. Strict, too.
FALSE_ALARMS: dict[str, str] = {}

BROKEN = _zoo.members("broken")
CORRECT = _zoo.members("correct")


def pytest_generate_tests(metafunc):
    for fixture, zoo, wrong in (("broken", BROKEN, MISSED), ("correct", CORRECT, FALSE_ALARMS)):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(
                fixture, [pytest.param(m, id=m.name, marks=_marks(m, wrong)) for m in zoo.values()]
            )


def _marks(member, wrong):
    slow = [pytest.mark.slow] if member.level == "standard" else []
    return [
        *slow,
        *([pytest.mark.xfail(reason=wrong[member.name])] if member.name in wrong else []),
    ]


@pytest.fixture(scope="session")
def broken_members():
    return BROKEN


@pytest.fixture(scope="session")
def broken_zoo():
    """The check that each broken dropout names."""
    return {name: member.trips for name, member in BROKEN.items()}


@pytest.fixture(scope="session")
def correct_zoo():
    """The correct plain dropouts, by name."""
    return {m.name: m.target for m in CORRECT.values() if m.group in ("zoo", "traps")}


@pytest.fixture(scope="session")
def coarse():
    return COARSE


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


@pytest.fixture(scope="session")
def missed():
    """Faults that no check sees."""
    return MISSED


@pytest.fixture(scope="session")
def false_alarms():
    """Correct dropouts that a check reports."""
    return FALSE_ALARMS
