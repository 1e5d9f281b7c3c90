"""What autocast gives a tensor in torch's own layers."""

import pytest
import torch

from torchdropout.functional._autocast import autocast_dtype


@pytest.mark.parametrize(
    ("dtype", "device", "enabled", "changed"),
    [
        (torch.float32, "cpu", True, True),
        (torch.float16, "cpu", True, True),
        (torch.float64, "cpu", True, False),
        (torch.float32, "cpu", False, False),
        (torch.float32, "meta", True, False),
    ],
)
def test_the_dtype_is_that_of_a_layer(dtype, device, enabled, changed):
    x = torch.ones(2, 2, dtype=dtype, device=device)
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        assert autocast_dtype(x) == (torch.bfloat16 if changed else None)
        if device == "cpu":
            y = torch.nn.functional.linear(x, x)
            assert y.dtype == (autocast_dtype(x) or dtype)
