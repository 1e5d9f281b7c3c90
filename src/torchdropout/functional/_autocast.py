"""What autocast does to operators of torch, for what is not one."""

from __future__ import annotations

import torch


def autocast_dtype(x: torch.Tensor) -> torch.dtype | None:
    """The dtype in which torch's own layers would take x; None where autocast leaves it alone."""
    device = x.device.type
    # A device such as "meta" has no autocast, and torch raises when asked.
    if x.dtype == torch.float64 or device == "meta" or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)
