import pytest
import torch

from torchdropout.verify import check_subject
from torchdropout.verify.targets import resolve
from verify import _zoo

# Other tests may run beside these: a second thread would wait for them more than it helps.
torch.set_num_threads(1)

COARSE = _zoo.COARSE

# Checks that are being written: their broken dropouts wait for them.
PENDING = {
    "alpha-moments",
    "block-shape",
    "compiled-law",
    "device-followed",
    "fixed-count",
    "fused-composition",
    "grad-checkpoint",
    "grad-second-order",
    "inplace-claim",
    "linear-rank",
    "noise-law",
    "scale-common",
    "shared-mask",
    "state-own",
    "state-restored",
    "subset-uniform",
    "thread-law",
    "thread-mask",
}

BROKEN = _zoo.members("broken")
CORRECT = _zoo.members("correct")


def pytest_generate_tests(metafunc):
    for fixture, zoo in (("broken", BROKEN), ("correct", CORRECT)):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(
                fixture,
                [
                    pytest.param(m, marks=[pytest.mark.slow] if m.level == "standard" else [])
                    for m in zoo.values()
                ],
                ids=list(zoo),
            )


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
def pending():
    return PENDING


@pytest.fixture(scope="session")
def coarse():
    return COARSE


@pytest.fixture(scope="session")
def judge():
    """`judge(target, **options)`: the report of a run at the coarse level."""

    def run(target, *, level=COARSE, **options):
        return check_subject(resolve(target), level=level, **options)

    return run
