"""What autocast does to operators of torch, for code that is not one."""

from __future__ import annotations

import torch


def autocast_dtype(x: torch.Tensor) -> torch.dtype | None:
    """The dtype that autocast gives x in torch's own layers; None where it leaves x as it is."""
    device = x.device.type
    # A device such as "meta" has no autocast, and torch raises for it.
    if x.dtype == torch.float64 or device == "meta" or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)
