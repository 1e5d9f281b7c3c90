"""Triton's kernels, compiled for GPUs that need not be there: run by `kernels/test_triton.py`.

The launchers compile as on a GPU, with the types and specialisations of real arguments, but nothing
is launched. It prints one JSON list: of each kernel its operator, case and instructions.
"""

from __future__ import annotations

import itertools
import json
import re
import sys

import torch
import triton
from triton.backends.compiler import GPUTarget

import torchdropout as td
from torchdropout.kernels import triton as ours

TARGETS = {
    "cuda": (GPUTarget("cuda", 90, 32), "ptx"),
    "hip": (GPUTarget("hip", "gfx942", 64), "amdgcn"),
}
target, assembly = TARGETS[sys.argv[1]]
FUSED = "fused" in sys.argv  # to see that a fused multiply-add would be seen


class Driver:
    """What a compilation asks of a GPU's driver."""

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return target


compiled = []


def compiling(kernel):
    run = kernel.run

    def compile_only(*args, warmup, **options):
        options["enable_fp_fusion"] |= FUSED
        compiled.append(run(*args, warmup=True, **options))

    kernel.run = compile_only


def main():
    triton.runtime.driver.set_active(Driver())
    key = td.Key(2**63 + 5, 2**59).tensor()
    constants = {"masked_affine": [(0.1, 1.1, 0.3, -1.0)], "noise_affine": []}
    constants["noise_affine"] = [(law, 0.3, 0.2) for law in (1, 2, 3)]
    # One row, rows whose blocks do not begin with them, rows of one mask; places of two dimensions.
    maps = ([(4096,), [1]], [(4, 70), [71, 1]], [(4, 70), [0, 1]], [(4, 70), [1, 4]])
    found = []
    for name, each in constants.items():
        operator = ours.load(name)
        module = sys.modules[operator.__module__]
        compiling(module.in_rows)
        compiling(module.in_places)
        every = itertools.product([torch.float32], each, maps)
        others = itertools.product(ours.DTYPES[1:], each, maps[:1])
        for dtype, own, (shape, strides) in itertools.chain(every, others):
            operator(torch.randn(shape, dtype=dtype), key, *own, 0, strides)
            text = compiled[-1].asm[assembly]
            instructions = sorted(set(re.findall(r"^\s+(?:@!?%\w+ )?([a-z_]\S+)", text, re.M)))
            found.append([name, [str(dtype), own, shape, strides], instructions])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
