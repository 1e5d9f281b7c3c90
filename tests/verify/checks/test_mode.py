"""What the checks of the mode say of what is wrong."""

import pytest
import torch

from verify.broken._common import draw, select
from verify.checks._alone import fault, made, put


def of_size(size, change):
    return made(evaluation=lambda x, p: change(x) if x.numel() == size else x)


def steeper_at_two(x, p):
    steep = torch.zeros_like(x)
    steep[:2] = 1
    return x + (x - x.detach()) * steep if x.requires_grad else x


class Counts(torch.nn.Module):
    """It is wrong in its n-th call of a mode."""

    def __init__(self, p, wrong_in):
        super().__init__()
        self.p, self.wrong_in, self.calls = p, wrong_in, {True: 0, False: 0}

    def forward(self, x):
        self.calls[self.training] += 1
        is_wrong = self.wrong_in == (self.training, self.calls[self.training])
        if self.training:
            return x if is_wrong else select(x, draw(x, self.p), self.p)
        return put(x, _1=9.0) if is_wrong else x


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("eval-identity", of_size(4096, lambda x: put(x, _0=0.0, _1=0.0, _5=9.0)),
         "p=0.001, eval: 3 of 4096 values changed, 2 are 0"),
        ("eval-identity", made(evaluation=lambda x, p: put(x, _3=9.0) if p == 0.999 else x),
         "p=0.999, eval: 1 of 4096 values changed, 0 are 0"),
        ("eval-identity", of_size(7, torch.nan_to_num),
         "p=0.001, eval, special values: 3 of 7 values changed, 3 are 0"),
        ("eval-identity", of_size(7, lambda x: x.clamp(min=-3e30)),
         "p=0.001, eval, special values: 2 of 7 values changed, 2 are 0"),
        ("eval-identity", of_size(7, lambda x: torch.where(x.abs() < 3e-30, 0.0, x)),
         "p=0.001, eval, special values: 2 of 7 values changed, 3 are 0"),
        ("eval-identity", of_size(1 << 18, lambda x: put(x, _262143=0.0)),
         "p=0.5, eval, 262144 elements: 1 of 262144 values changed, 1 are 0"),
        ("eval-identity", made(evaluation=lambda x, p: x.detach()),
         "p=0.5, eval: y is cut off from the gradient of x"),
        ("eval-identity", made(evaluation=steeper_at_two),
         "p=0.5, eval: 2 of 512 gradients are not the incoming one"),
        ("mode-switch", Counts(0.5, (True, 1)),
         "p=0.5, after 0 switches of mode: the input came back unchanged in training"),
        ("mode-switch", Counts(0.5, (True, 6)),
         "p=0.5, after 5 switches of mode: the input came back unchanged in training"),
        ("mode-switch", Counts(0.5, (False, 1)),
         "p=0.5, eval after 1 switches of mode: 1 of 256 values changed, 0 are 0"),
        ("mode-switch", Counts(0.5, (False, 3)),
         "p=0.5, eval after 4 switches of mode: 1 of 256 values changed, 0 are 0"),
    ],
)  # fmt: skip
def test_a_mode_that_is_wrong(name, target, message):
    assert fault(name, target).message == message


def test_one_call_of_eight_that_does_nothing():
    calls = []

    def drop(x, p):
        calls.append(p)
        return x if len(calls) == 8 else select(x, draw(x, p), p)

    assert "came back unchanged" in fault("train-stochastic", made(drop)).message
