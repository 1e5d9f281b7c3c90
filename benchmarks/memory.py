"""Bytes kept for the backward beyond the input: storages that autograd saves, counted once each.

Python numbers kept with them are not counted, for any candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import harness
import machine
import torch
import torch.nn.functional as F
from forward import OURS, TORCH, Dropout, native

import torchdropout.functional as td

FUNCTIONS: dict[str, Dropout] = {OURS: td.dropout, TORCH: F.dropout, "torch.native_dropout": native}
DTYPES = (torch.float32, torch.bfloat16)


def kept_bytes(
    function: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    parameters: Iterable[torch.Tensor] = (),
) -> int:
    """The bytes kept by one forward on x, where x or the parameters require a gradient."""
    storages: dict[int, int] = {}

    def pack(saved: torch.Tensor) -> torch.Tensor:
        storage = saved.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        y = function(x)
    for given in (x, *parameters):
        storages.pop(given.untyped_storage().data_ptr(), None)
    del y  # kept alive until now, so that no address is used twice
    return sum(storages.values())


def measure(name: str, elements: int, dtype: torch.dtype) -> dict[str, Any]:
    """Measure one line of the result."""
    x = torch.randn(elements, dtype=dtype, requires_grad=True)
    function = FUNCTIONS[name]
    return {
        "function": name,
        "elements": elements,
        "dtype": harness.dtype_name(dtype),
        "kept_bytes": kept_bytes(lambda x: function(x, 0.1), x),
    }


def main() -> None:
    options = harness.parse(__file__, harness.parser(__doc__))
    sizes = (2**10, 2**14) if options.quick else (2**10, 2**20, 2**26)
    results = [measure(name, n, dtype) for dtype in DTYPES for n in sizes for name in FUNCTIONS]
    for result in results:
        print("{function:24}{elements:>12} {dtype:10}{kept_bytes:>14} bytes kept".format(**result))
    run = {"machine": machine.record(), "results": results}
    harness.write(options.out, {"script": Path(__file__).stem, "runs": [run]})


if __name__ == "__main__":
    main()
