"""What the checks of layouts and of the device say of what is wrong in one of them."""

import pytest
import torch

from verify.checks._alone import fault, halves, made, put, reason, run

STRIDES = {
    "transposed": (960, 1, 5, 80),
    "channels_last": (960, 1, 60, 5),
    "heads of an attention": (960, 12, 60, 1),
    "every second element": (1920, 384, 24, 2),
    "first axis last": (1, 1152, 72, 6),
    "expanded": (16, 0, 1, 0),
}


@pytest.mark.parametrize(("name", "strides"), STRIDES.items())
def test_what_is_wrong_in_one_layout(name, strides):
    def nines(x, p):
        y = halves(x, p)
        return put(y, _1=9.0, _3=9.0) if x.stride() == strides else y

    found = fault("layout-values", made(nines))
    assert found.message.startswith(f"{name}: p=0.5: 2 of 5760 values are neither 0 nor")
    if name != "expanded":
        found = fault("layout-mask", made(lambda x, p: halves(x, p, int(x.stride() == strides))))
        assert found.message == (
            f"{name}: a different mask from the contiguous input for the same seed, at "
            "5760 of 5760 places"
        )
        assert found.figures == {"layout": name, "differ": 5760}


def test_values_that_are_right_in_all_layouts():
    assert run("layout-values", made(halves)).message == ", ".join(STRIDES)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda x, p: x * (torch.rand(x.shape) < p), "x on cuda: FakeTensorDeviceMismatchError: "),
        (lambda x, p: torch.zeros(x.shape), "x on cuda, y on cpu"),
    ],
)
def test_a_mask_that_is_made_on_the_cpu(rule, said):
    assert fault("device-followed", made(rule), compiled=True).message.startswith(said)


def test_a_mask_that_follows_the_device_of_x():
    seen = run("device-followed", made(lambda x, p: x), compiled=True)
    assert seen.message == "the device of x, on fake tensors"


class WithWeight(torch.nn.Dropout):
    def __init__(self, p=0.5):
        super().__init__(p)
        self.weight = torch.nn.Parameter(torch.ones(1))


def test_what_cannot_be_run_on_fake_tensors():
    def drop(x, p):
        raise IndexError("no such device")

    assert reason("device-followed", made(drop), compiled=True) == (
        "a call on fake tensors raised IndexError: no such device"
    )
    assert reason("device-followed", WithWeight, compiled=True) == (
        "the target has parameters, which its owner moves to a device"
    )
    assert reason("device-followed", made()).startswith("not run at level small")
