"""Drop path: one draw a sample or one a call, by the contract, with timm's order of arguments."""

import torch

from torchdropout import functional as F


def test_one_draw_a_call_at_the_rate():
    """Of 2,000 calls a share of p is dropped, within 6 sigma, and each as a whole."""
    torch.manual_seed(0)
    x = torch.ones(3, 2)
    calls = torch.stack([F.drop_path(x, 0.3, True, False, mode="batch") for _ in range(2000)])
    assert torch.equal(calls, calls[:, :1, :1].expand_as(calls))
    assert abs(calls[:, 0, 0].mean().item() - 0.7) < 6 * (0.21 / 2000) ** 0.5
