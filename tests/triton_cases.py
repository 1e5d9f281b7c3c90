"""Triton's kernels against the reference, in Triton's interpreter: run by `kernels/test_triton.py`.

A process of its own, since Triton reads TRITON_INTERPRET when it is imported. It prints one JSON
object: for each operator the number of cases and those that differ, and for each damage of the
kernels the number of cases that notice it.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch

import torchdropout as td
from torchdropout import backends
from torchdropout.contract.keep import uniform
from torchdropout.contract.noise import Law
from torchdropout.contract.seed import as_int64
from torchdropout.kernels import noise, reference, triton

# Seeds and streams with and without bit 31, or of more than 32 bits.
KEYS = (
    td.Key(0xFEDCBA9876543210, 0xFEDCBA987654321),
    td.Key(0xFEDCBA98, 0x76543210),
    td.Key(0x76543210FFFFFFFF, 0x87654321),
    td.Key(0, 0),
)
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
BASES = (0, 5, 2**31 - 3, 2**32 - 40, 2**34 - 16, 2**35 - 21, 2**64 - 24, 2**64 - 3)
CONSTANTS = ((1.1111111111111112, 0.0, 0.0), (0.8864, 0.0457, -1.5), (3.3, 0.0, -0.0))

FACTORS = ((0.3333333333333333, 0.0), (0.0, 1.7), (-1.25, 1e-3))


def sample(*shape, dtype=torch.float32):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(len(shape))) * 3
    flat = x.view(-1)
    specials = (0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e-42, 7e4, 3e38)
    for place, special in zip(range(3, flat.numel(), 5), specials, strict=False):
        flat[place] = special
    return x.to(dtype)


def layouts(dtype):
    """Name, x and mask strides; in the comments how the kernel walks them."""
    grid = sample(6, 40, dtype=dtype)
    image = sample(2, 3, 4, 5, dtype=dtype)
    rows = sample(4, 70, dtype=dtype)
    return {
        "one row": (sample(2500, dtype=dtype), [1]),
        "one row of several dimensions": (image, [60, 20, 5, 1]),
        "one element": (sample(1, dtype=dtype), [1]),
        "no dimension": (sample(dtype=dtype), []),
        "nothing": (sample(3, 0, dtype=dtype), [0, 1]),
        "odd": (sample(13, 7, dtype=dtype), [7, 1]),
        "offset": (sample(100, dtype=dtype)[3:98], [1]),
        "rows of a wider tensor": (rows, [72, 1]),
        "rows of a wider mask": (rows, [1001, 1]),
        "rows far from each other": (rows, [2**32 - 3, 1]),
        "columns of a tensor": (sample(4, 90, dtype=dtype)[:, 5:75], [70, 1]),
        "expanded": (sample(70, dtype=dtype).expand(3, 70), [70, 1]),
        "transposed": (grid.t(), [6, 1]),
        "reversed": (grid, [-40, -1]),
        "channels last": (image.to(memory_format=torch.channels_last), [60, 20, 5, 1]),
        "shared features": (image, [3, 1, 0, 0]),
        "shared by all": (grid, [0, 0]),
        "strided": (sample(80, dtype=dtype)[::3], [2**32 - 5]),
    }


def probabilities(x, key, base, strides):
    """Among them two thresholds at an element's own uniform, where the low half decides."""
    place = base + sum((n - 1) // 2 * s for n, s in zip(x.shape, strides, strict=True))
    own = uniform(key.seed, key.stream, place % 2**64)
    return (0.0, 2.0**-32, 1e-3, 0.1, 0.5, 1 - 2.0**-20, 1.0, own / 2**32, (own + 1) / 2**32)


def bernoulli():
    """x and the other arguments of each case."""
    bases, keys, constants = map(itertools.cycle, (BASES, KEYS, CONSTANTS))
    for dtype in DTYPES:
        for x, strides in layouts(dtype).values():
            base, key = next(bases), next(keys)
            for p in probabilities(x, key, base, strides):
                yield x, key.tensor(), p, *next(constants), as_int64(base), strides


def continuous():
    """The same of `noise_affine`."""
    bases, keys = itertools.cycle(BASES), itertools.cycle(KEYS)
    for dtype in DTYPES:
        for x, strides in layouts(dtype).values():
            base, key = next(bases), next(keys)
            for law, (factor, addend) in itertools.product(Law, FACTORS):
                yield x, key.tensor(), int(law), factor, addend, as_int64(base), strides


CASES = {
    "masked_affine": (bernoulli, reference.masked_affine),
    "noise_affine": (continuous, noise.noise_affine),
}


def same(a, b):
    """The same bits, all NaNs being the same, and the same strides."""
    if a.dtype != b.dtype or a.shape != b.shape or a.stride() != b.stride():
        return False
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    equal = a.contiguous().view(bits) == b.contiguous().view(bits)
    return bool((equal | (a.isnan() & b.isnan())).all())


def compare(name, report):
    cases, expected = CASES[name]
    operator = getattr(torch.ops.torchdropout, name).default
    module = sys.modules[triton.load(name).__module__]
    kernel, calls, same_as = triton.load(name), [], {}
    setattr(module, name, lambda *args: calls.append(args) or kernel(*args))
    for number, args in enumerate(cases()):
        case = repr((number, args[0].dtype, args[0].shape, args[0].stride(), *args[2:]))
        same_as[case] = same(operator(*args), expected(*args))
    setattr(module, name, kernel)
    differ = [case for case, equal in same_as.items() if not equal]
    report[name] = {"cases": len(same_as), "calls": len(calls), "differ": differ}


DAMAGES = {
    "none": ("masked_affine", "walk.py", "", ""),
    "Philox constant": (
        "masked_affine",
        "walk.py",
        "tl.constexpr(contract.MULTIPLIER_1)",
        "tl.constexpr(contract.MULTIPLIER_1 ^ 2)",
    ),
    "tie rule": ("masked_affine", "bernoulli.py", ">= low", "> low"),
    "index carry": ("masked_affine", "walk.py", "(block >> 32) & 0xFFFFFFFF", "(block >> 32) & 0"),
    "rounding of scale": (
        "masked_affine",
        "bernoulli.py",
        "bits(scale, compute)",
        "bits(float(torch.tensor(scale, dtype=x.dtype)), compute)",
    ),
    "rounding to bfloat16": ("masked_affine", "walk.py", "+ 0x7FFF", "+ 0"),
    "sign of the drop value": (
        "masked_affine",
        "bernoulli.py",
        "bits(drop_value, compute, x.dtype)",
        "bits(drop_value + 0.0, compute, x.dtype)",
    ),
    "order of words": ("noise_affine", "walk.py", "tl.join(w0, w2)", "tl.join(w0, w1)"),
    "central region": ("noise_affine", "noise.py", "-(x * x) + SQUARE", "-x + SQUARE"),
    "end of the central region": (
        "noise_affine",
        "noise.py",
        "offset < CENTRAL",
        "offset < CENTRAL - 0x01000000",
    ),
    "tail": ("noise_affine", "noise.py", "t * D3", "t * D2"),
    "sum in another order": (
        "noise_affine",
        "noise.py",
        "k * LN2_HIGH + (k * LN2_LOW + s * (q * (q * (q * LOG3 + LOG2) + LOG1) + LOG0))",
        "(k * LN2_HIGH + k * LN2_LOW) + s * (q * (q * (q * LOG3 + LOG2) + LOG1) + LOG0)",
    ),
    "sign": ("noise_affine", "noise.py", "centred & -0x80000000", "centred & 0"),
    "rounding of the factor": (
        "noise_affine",
        "noise.py",
        "bits(factor, compute)",
        "bits(float(torch.tensor(factor, dtype=x.dtype)), compute)",
    ),
    "shift of 0": ("masked_affine", "bernoulli.py", "SHIFT=shift != 0.0", "SHIFT=True"),
}


def notice(damage, report):
    """Every 11th case on a copy of the kernels in which one place is changed."""
    name, file, old, new = DAMAGES[damage]
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "damaged"
        shutil.copytree(Path(triton.__file__).parent, package)
        text = (package / file).read_text()
        assert old in text, (damage, old)
        (package / file).write_text(text.replace(old, new))
        own = f"torchdropout.kernels.damaged_{len(report)}"
        spec = importlib.util.spec_from_file_location(own, package / "__init__.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[own] = module
        spec.loader.exec_module(module)
        kernel = module.load(name)
        cases, expected = CASES[name]
        report[damage] = sum(
            not same(kernel(*args), expected(*args))
            for args in itertools.islice(cases(), 0, None, 11)
        )


def main():
    assert backends.current() == "triton"
    compared, noticed = {}, {}
    for name in CASES:
        compare(name, compared)
    for damage in DAMAGES:
        notice(damage, noticed)
    print(json.dumps({"compared": compared, "noticed": noticed}))


if __name__ == "__main__":
    main()
