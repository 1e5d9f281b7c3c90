import pytest
import torch

from torchdropout.verify import check_subject
from torchdropout.verify.targets import resolve
from verify import _zoo

# Other tests may run beside these: a second thread would wait for them more than it helps.
torch.set_num_threads(1)

COARSE = _zoo.COARSE

# Faults that no check sees, and what would see each. Strict: who mends a check takes them out.
MISSED = {
    "attention_drops_the_output": "two equal columns of v must have equal outputs",
    "backward_views_as_a_vector": "gradients from an incoming one that is expanded or transposed",
    "bfloat16_through_float16": "bfloat16 values above 65504 and below 6e-8",
    "channels_of_a_volume_share": "independence along the axes of a 5-D input",
    "detached_in_eval": "the gradient of a call in eval",
    "eight_bits_when_compiled": "the rate of the compiled target at a p off the multiples of 1/256",
    "half_gradient_of_another_mask": "masks and scales of gradients in half precision",
    "large_inputs_unscaled": "values of an input of a million elements",
    "live_in_eval_on_large_inputs": "identity for an input of a million elements",
    "numbers_for_nonzeros_first": "the mask of an input with zeros in it",
    "pairs_share_in_half": "independence in half precision",
    "steps_share": "independence along the axes of a 3-D input",
    "tail_restarts_the_counter": "pairs of places of a call with an odd number of elements",
    "unscaled_where_recorded": "values of y in a call that records gradients",
}

# Correct dropouts that a check accuses. Strict, too.
ACCUSED = {
    "dropout_add": "tiny-input gives a 0-d x no bias",
    "once_differentiable_backward": "grad-second-order takes a refusal for a zero",
}

BROKEN = _zoo.members("broken")
CORRECT = _zoo.members("correct")


def pytest_generate_tests(metafunc):
    for fixture, zoo, wrong in (("broken", BROKEN, MISSED), ("correct", CORRECT, ACCUSED)):
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
def judge():
    """`judge(target, **options)`: the report of a run at the coarse level."""

    def run(target, *, level=COARSE, **options):
        return check_subject(resolve(target), level=level, **options)

    return run


@pytest.fixture(scope="session")
def missed():
    """Faults that no check sees."""
    return MISSED


@pytest.fixture(scope="session")
def accused():
    """Correct dropouts that a check accuses."""
    return ACCUSED
