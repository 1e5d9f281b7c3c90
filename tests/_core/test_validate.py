"""What an error says that was given, and a generator of another device."""

import pytest
import torch

from torchdropout._core._validate import check_generator, got
from torchdropout.errors import ArgumentValueError

NESTED = torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.7, "got p=1.7 (float)"),
        ("x" * 78, f"got p='{'x' * 78}' (str)"),
        ("x" * 79, f"got p='{'x' * 76}... (str)"),
        (torch.ones(2, 3), "got p=<tensor of shape (2, 3), torch.float32> (Tensor)"),
        (torch.ones(()), "got p=<tensor of shape (), torch.float32> (Tensor)"),
        (NESTED, "got p=<nested tensor, torch.float32> (NestedTensor)"),
    ],
)
def test_what_was_given(value, expected):
    assert got("p", value) == expected


def test_a_generator_on_another_device(monkeypatch):
    class Generator:
        device = torch.device("cuda", 0)

    monkeypatch.setattr(torch, "Generator", Generator)
    check_generator(Generator(), torch.device("cuda"))
    with pytest.raises(ArgumentValueError, match=r"device \(xpu\), got a generator on cuda:0"):
        check_generator(Generator(), torch.device("xpu"))
