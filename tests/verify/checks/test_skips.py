"""What a check does not apply to, and the reason that a report gives."""

import pytest
import torch

from verify.checks._alone import made, reason
from verify.correct import specs

NEAR = "p is too near 0 or 1 for the draws of two places to be told apart in this time"
SMALL = "its input is made by the verifier, in calls of a limited size"
BLOCKS = "places in a block depend on each other, and the rate depends on the place"
OWN = "applies only where each element has its own draw; kept-scale checks the values"
ONE_NUMBER = "applies only to continuous noise of one number for each element"
MIDDLE = "applies only at p from .01 to .99"
HELD = "no p is held exactly: the exact distribution is not known"
HALF = "the rank of mask bits is informative at p=0.5 only, not at p=0.3"
RANDOM = "the instance has p={:g}: nothing is random"


@pytest.mark.parametrize(
    ("name", "target", "spec", "why"),
    [
        ("alpha-moments", specs.channels, "dropout2d", "applies only to alpha dropout"),
        ("alpha-moments", specs.feature_alpha, "feature-alpha", OWN),
        ("alpha-moments", torch.nn.AlphaDropout(0.001), "alpha", MIDDLE),
        ("noise-pairs", specs.channels, "dropout2d", ONE_NUMBER),
        ("draws-everywhere", torch.nn.Dropout(0.04), None, NEAR),
        ("draws-everywhere", torch.nn.Dropout(0.3), "plain:bits=8", HELD),
        ("draws-everywhere", specs.whole_batch, "drop-path-batch", "a call makes one draw"),
        ("draws-everywhere", specs.DropBlock, "drop-block", BLOCKS),
        ("large-call", specs.attention, "attention", SMALL),
        ("module-state", made(), None, "the target is not a module"),
        ("module-state", torch.nn.Dropout(1.0), None, RANDOM.format(1)),
        ("arguments-unmodified", torch.nn.Dropout, None, "it takes no tensor except x"),
        ("embedding-repeats", specs.DropConnect, "weights", "the target is not an embedding"),
        ("drop-rate", torch.nn.Dropout(0.0), None, RANDOM.format(0)),
        ("p-one-zeros", torch.nn.Dropout(0.3), None, "the target has p=0.3"),
        ("linear-rank", torch.nn.Dropout(0.3), None, HALF),
    ],
)
def test_what_a_check_does_not_apply_to(name, target, spec, why):
    assert reason(name, target, spec=spec) == why
