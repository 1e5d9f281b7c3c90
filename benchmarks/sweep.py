"""Where is a dropout slower than torch's? Functions, dtypes, shapes, layouts and modes, crossed.

    python benchmarks/sweep.py              all cases; then those where torch is faster, worst first
    python benchmarks/sweep.py dropout2d    the cases whose line has these words

The layout is that of x. `backward` is a forward and a backward with a dense gradient, `mean` the
same with the expanded gradient of a mean. Ours and torch's are timed in alternation.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import harness
import machine
import torch
import torch.nn.functional as F
from harness import Candidate, Case, Plan

import torchdropout.functional as td

SAME = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
SHAPES: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "dropout": ((1,), (16,), (256,), (2**14,), (2**20,)),
    "dropout1d": ((2, 8, 16), (32, 64, 512)),
    "dropout2d": ((2, 4, 4, 4), (8, 128, 8, 8), (32, 64, 28, 28)),
    "dropout3d": ((2, 4, 2, 4, 4), (8, 32, 8, 16, 16)),
    "alpha_dropout": ((16,), (2**14,), (2**20,)),
    "feature_alpha_dropout": ((2, 4, 4, 4), (8, 128, 8, 8)),
}
DTYPES = (torch.float32, torch.float64, torch.bfloat16)
LAYOUTS = ("contiguous", "transposed", "sliced", "channels last")
MODES = ("forward", "backward", "mean", "in place", "eval", "p = 0", "p = 1")
ATTENTION = (
    (1, 1, 1, 8), (1, 2, 8, 16), (2, 4, 16, 16), (2, 4, 64, 32), (2, 8, 256, 64), (2, 8, 1024, 64),
)  # fmt: skip
PLAN = Plan(budget_s=0.15, fewest=9, most=31)


@dataclass(frozen=True)
class Row:
    """One comparison; `layout` is that of x."""

    function: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    layout: str = "contiguous"
    mode: str = "backward"

    def __str__(self) -> str:
        shape, dtype = harness.shape_name(self.shape), harness.dtype_name(self.dtype)
        return f"{self.function} {shape} {dtype}, {self.layout}, {self.mode}"

    def candidates(self, _: Case) -> dict[str, Candidate]:
        """Ours, and torch's."""
        made = {"ours": td, "torch": F}
        return {name: self._candidate(getattr(of, self.function)) for name, of in made.items()}

    def _candidate(self, function: Callable[..., torch.Tensor]) -> Candidate:
        if self.function == "scaled_dot_product_attention":
            inputs = [torch.randn(self.shape, dtype=self.dtype, requires_grad=True) for _ in "qkv"]
            return harness.with_backward({"": partial(function, *inputs, None, 0.1)}, inputs)[""]
        x = laid_out(self.shape, self.dtype, self.layout)
        p = {"p = 0": 0.0, "p = 1": 1.0}.get(self.mode, 0.1)
        call = partial(function, x, p, self.mode != "eval", self.mode == "in place")
        if self.mode in ("backward", "mean"):
            x.requires_grad_()
            g = torch.ones((), dtype=self.dtype).expand(self.shape) if self.mode == "mean" else None
            return harness.with_backward({"": call}, [x], g)[""]
        return Candidate(call)


def laid_out(shape: tuple[int, ...], dtype: torch.dtype, layout: str) -> torch.Tensor:
    x = torch.randn(shape, dtype=dtype)
    if layout == "transposed":
        return x.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == "sliced":
        return torch.randn(*shape[:-1], 2 * shape[-1], dtype=dtype)[..., ::2]
    if layout == "channels last":
        return x.to(memory_format=torch.channels_last)
    return x


def rows() -> Iterator[Row]:
    """All dtypes and modes of contiguous tensors; the layouts in float32, with both gradients."""
    for function in SAME:
        for shape, dtype, mode in itertools.product(SHAPES[function], DTYPES, MODES):
            yield Row(function, shape, dtype, mode=mode)
        for layout in LAYOUTS[1:]:
            for shape in SHAPES[function]:
                if len(shape) == 4 if layout == "channels last" else len(shape) > 1:
                    for mode in ("forward", "backward", "mean"):
                        yield Row(function, shape, torch.float32, layout, mode)
    for shape in ATTENTION:
        yield Row("scaled_dot_product_attention", shape, torch.float32)


def main(words: list[str]) -> None:
    print(machine.describe(machine.record()))
    found = []
    for row in rows():
        if all(word in str(row) for word in words):
            case = Case(str(row), row.candidates, row.shape, row.dtype)
            ratio = harness.measure(case, PLAN).ratio("ours", "torch")
            print(f"{row!s:70} {ratio}", flush=True)
            found.append((ratio, row))
    slower = sorted((each for each in found if each[0].low > 1.0), key=lambda each: -each[0].value)
    print(f"\n{len(found)} cases. Slower than torch, with the whole interval: {len(slower)}")
    for ratio, row in slower:
        print(f"  {row!s:70} {ratio}")


if __name__ == "__main__":
    harness.become_warm()
    main(sys.argv[1:])
