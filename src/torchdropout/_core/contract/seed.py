"""How a seed is drawn from a torch generator: section 5 of the contract."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...errors import ArgumentValueError


def draw_seeds(size: Sequence[int], generator: torch.Generator | None = None) -> torch.Tensor:
    """Independent 64-bit seeds, as the bits of int64, on the CPU.

    Each seed takes one 64-bit number from the generator.

    Args:
        size: Shape of the result; `()` for one seed.
        generator: The generator to draw from; by default torch's CPU generator.
    """
    refuse_capture()
    device = torch.device("cpu") if generator is None else generator.device
    seeds = torch.empty(size, dtype=torch.int64, device=device)
    return seeds.random_(-(2**63), None, generator=generator).cpu()


def refuse_capture() -> None:
    """Refuse a draw while the current stream captures a CUDA graph."""
    if captures():
        raise ArgumentValueError(
            "Expected `key` to be a torchdropout.Key for a draw on the CPU that is captured in a "
            "CUDA graph, got key=None (NoneType): the seed that is drawn would be a constant of "
            "the graph, and each replay would have the same mask."
        )


def captures() -> bool:
    """Whether the current stream captures a CUDA graph."""
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


def as_int64(bits: int) -> int:
    """An unsigned 64-bit number as the int64 with the same bits.

    Example:
        >>> as_int64(2**64 - 1), as_int64(1)
        (-1, 1)
    """
    return bits - 2**64 if bits >= 2**63 else bits
