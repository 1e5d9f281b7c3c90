"""Triton's kernels against the reference, in Triton's interpreter: run by `kernels/test_triton.py`.

    python tests/triton_cases.py OPERATOR [SHARE]

A process of its own, since Triton reads TRITON_INTERPRET when it is imported. It prints one JSON
object: the number of cases of the operator and those that differ, and for each damage of its kernel
whether a case notices it. With a share of 0.25 a quarter of the cases are drawn.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

import torch

import torchdropout as td
from torchdropout import backends
from torchdropout.contract.keep import uniform
from torchdropout.contract.layout import row_major
from torchdropout.contract.noise import Law
from torchdropout.contract.seed import as_int64
from torchdropout.kernels import add, counted, noise, reference, triton
from torchdropout.ops import _drop_blocks, seed_sizes

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


def sums():
    """Of `dropout_add`: x, residual and bias of all types that fit."""
    bases, keys = itertools.cycle(BASES), itertools.cycle(KEYS)
    halves = torch.float16, torch.bfloat16
    types = [(d, d, b) for d in DTYPES for b in (None, d)]
    types += [(d, torch.float32, b) for d in halves for b in (d, torch.float32)]
    for of_x, of_residual, of_bias in types:
        residuals = layouts(of_residual)
        for name, (x, strides) in layouts(of_x).items():
            base, key = next(bases), next(keys)
            residual = residuals[name][0].flip(0) if x.ndim else residuals[name][0]
            bias = None
            if of_bias is not None and x.ndim:
                bias = sample(x.shape[-1], dtype=of_bias).flip(0)
            for p in probabilities(x, key, base, strides)[3::2]:
                own = p, 1.4285714285714286, as_int64(base), strides
                yield x, key.tensor(), residual, bias, *own


def gradients():
    """Of `dropout_add_backward`."""
    bases, keys = itertools.cycle(BASES), itertools.cycle(KEYS)
    types = [(d, d) for d in DTYPES]
    types += [(torch.float32, d) for d in (torch.float16, torch.bfloat16)]
    for (of_gradient, of_x), summed in itertools.product(types, (True, False)):
        for x, strides in layouts(of_gradient).values():
            base, key = next(bases), next(keys)
            if x.ndim > 0:
                # Finite, so that the sums are.
                gradient = x.nan_to_num(0.3, 7.0, -7.0).clamp(-9e3, 9e3)
                for p in probabilities(x, key, base, strides)[3::2][:3]:
                    own = p, 1.4285714285714286, as_int64(base), strides
                    yield gradient, key.tensor(), of_x, summed, *own


def counts():
    """Of `counted_affine`: groups in a row, across, backwards, shared, and large ones."""
    keys = itertools.cycle(KEYS)
    own = (
        (6, 40),
        [
            (2, 4, -1, [40, 1]),
            (1, 2, -1, [1001, 1]),
            (3, 5, -1, [-40, -1]),
            (7, 8, -2 + 1, [0, 1]),
            (13, 40, -1, [40, 1]),
            (30, 40, -1, [0, -1]),
            (2, 3, -2, [40, 1]),
            (5, 6, -2, [2**32 - 3, 0]),
        ],
    )
    image = (
        (2, 4, 3, 5),
        [(2, 4, -3, [60, 15, 5, 1]), (1, 5, -1, [0, 0, 5, 1]), (1, 2, -4, [60, 15, 5, 1])],
    )
    wide = (3, 64), [(20, 32, -1, [64, 1]), (63, 64, -1, [64, 1]), (1, 64, -1, [64, 1])]
    for dtype, base in itertools.product(DTYPES, BASES):
        for shape, each in (own, image, wide):
            x = sample(*shape, dtype=dtype)
            for turned in (False, True):
                if turned:
                    x = x.transpose(0, 1).contiguous().transpose(0, 1)
                for kept, group, dim, strides in each if not turned else each[::3]:
                    scale = group / kept
                    key = next(keys).tensor()
                    yield x, key, kept, group, dim, scale, as_int64(base), strides


def blocks():
    """Of `drop_blocks`."""
    keys = itertools.cycle(KEYS)
    for dtype, base in itertools.product(DTYPES, BASES):
        for shape, dims, block in (
            ((2, 3, 9), 1, 4),
            ((2, 3, 7, 8), 2, 3),
            ((3, 7, 8), 2, 1),
            ((2, 3, 4, 5, 6), 3, 2),
        ):
            own = sample(*shape, dtype=dtype)
            turned = own.transpose(0, 1).contiguous().transpose(0, 1)
            whole = row_major(seed_sizes(shape, dims, block))
            shared = row_major(seed_sizes(shape, dims, block), (0,))
            for x, strides, rate in (
                (own, whole, 0.1),
                (turned, whole, 0.01),
                (own, shared, 0.1),
                (own, [-s for s in whole], 1.0 if base == 5 else 0.2),
                (own, whole, 0.0 if base == 5 else 0.5),
            ):
                constants = dims, block, False, rate, 1.1111111111111112, 0.0
                yield x, next(keys).tensor(), *constants, as_int64(base), strides


def rates():
    """Of `masked_by_rates`: an own p for each element, at its threshold or next to it."""
    bases, keys = itertools.cycle(BASES), itertools.cycle(KEYS)
    for dtype in DTYPES:
        for x, strides in layouts(dtype).values():
            base, key = next(bases), next(keys)
            own = reference.uniforms(key.tensor(), x.shape, as_int64(base), strides, x.device)
            own = own.expand(x.shape).double()
            single = own[..., :1] if x.ndim else own
            for scaled, each in itertools.product(
                (True, False),
                (
                    own / 2**32,
                    (own + 1) / 2**32,
                    (own + 0.5) / 2**32,
                    torch.full_like(own, 0.3).flatten().cumsum(0).remainder(1).view(own.shape),
                    single / 2**32,
                ),
            ):
                yield x, key.tensor(), each.clamp(max=1.0), scaled, as_int64(base), strides


CASES = {
    "masked_affine": (bernoulli, reference.masked_affine),
    "noise_affine": (continuous, noise.noise_affine),
    "dropout_add": (sums, add.dropout_add),
    "dropout_add_backward": (gradients, add.dropout_add_backward),
    "counted_affine": (counts, counted.counted_affine),
    "drop_blocks": (blocks, _drop_blocks._kernel),
    "masked_by_rates": (rates, reference.masked_by_rates),
}


def same(a, b):
    """The same bits, all NaNs being the same, and the same strides."""
    if isinstance(a, tuple):
        return all(map(same, a, b))
    if a.dtype != b.dtype or a.shape != b.shape or a.stride() != b.stride():
        return False
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    equal = a.contiguous().view(bits) == b.contiguous().view(bits)
    return bool((equal | (a.isnan() & b.isnan())).all())


def compare(name, share):
    cases, expected = CASES[name]
    if name == "masked_by_rates":
        operator = torch.ops.torchdropout.masked_affine.rates
    else:
        operator = getattr(torch.ops.torchdropout, name).default
    module = sys.modules[triton.load(name).__module__]
    kernel, called, differ = triton.load(name), set(), []
    drawn = random.Random(0)
    for number, args in enumerate(case for case in cases() if drawn.random() < share):
        setattr(module, name, lambda *a, number=number: called.add(number) or kernel(*a))
        if not same(operator(*args), expected(*args)):
            differ.append(repr((number, args[0].dtype, args[0].shape, args[0].stride(), args[2:])))
    setattr(module, name, kernel)
    return {"cases": number + 1, "calls": len(called), "differ": differ[:20]}


DAMAGES = {
    "none": (None, "walk.py", "", ""),
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
    "a draw for each of a shared row": (
        "masked_affine",
        "walk.py",
        "shared = mask == 0 and n > 1",
        "shared = False",
    ),
    "no tie is found": (
        "masked_affine",
        "bernoulli.py",
        "& 0x80008000",
        "& 0",
    ),
    "product of what is dropped": (
        "dropout_add",
        "add.py",
        "tl.where(keep, y * number(scale, F), 0.0)",
        "tl.where(keep, 1.0, 0.0) * (y * number(scale, F))",
    ),
    "bias in the type of x": (
        "dropout_add",
        "add.py",
        "y + bias.to(F)",
        "y + bias.to(x.dtype).to(F)",
    ),
    "two roundings": (
        "dropout_add",
        "add.py",
        "number(scale, F), 0.0)",
        "number(scale, F), 0.0).to(tl.float16).to(F)",
    ),
    "size of a block": ("dropout_add_backward", "add_backward.py", "ROWS=ROWS,", "ROWS=2 * ROWS,"),
    "blocks added in float32": (
        "dropout_add_backward",
        "add_backward.py",
        "sums += part.to(tl.float64)",
        "sums = (sums.to(tl.float32) + part.to(tl.float32)).to(tl.float64)",
    ),
    "sums of rounded numbers": (
        "dropout_add_backward",
        "add_backward.py",
        "sums += y",
        "sums += y.to(tl.float16).to(F)",
    ),
    "one more is kept": (
        "counted_affine",
        "counted.py",
        "return before < kept",
        "return before <= kept",
    ),
    "last bit of the last word": (
        "counted_affine",
        "counted.py",
        "range(BITS)",
        "range(BITS - 1)",
    ),
    "places of a larger group": (
        "counted_affine",
        "counted.py",
        "tl.where(place < GROUP, word",
        "tl.where(place >= 0, word",
    ),
    "side of a block": (
        "drop_blocks",
        "drop_blocks.py",
        "in range(block):",
        "in range(block - 1):",
    ),
    "rows of a block": ("drop_blocks", "drop_blocks.py", "_1 * step_1", "_1 * step_0"),
    "threshold cut": (
        "masked_by_rates",
        "rates.py",
        "((rate * 4294967296.0 + 4503599627370496.0) - 4503599627370496.0)",
        "(rate * 4294967296.0)",
    ),
    "scale in float32": (
        "masked_by_rates",
        "rates.py",
        "(1.0 / (1.0 - rate)).to(F)",
        "(1.0 / (1.0 - rate.to(tl.float32))).to(F)",
    ),
}


def damaged(folder, file, old, new):
    """A copy of the kernels in which one place is changed."""
    package = Path(folder) / "damaged"
    shutil.copytree(Path(triton.__file__).parent, package)
    text = (package / file).read_text()
    assert old in text, old
    (package / file).write_text(text.replace(old, new))
    own = f"torchdropout.kernels.{Path(folder).name}"
    spec = importlib.util.spec_from_file_location(own, package / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[own] = module
    spec.loader.exec_module(module)
    return module


def notice(name, file, old, new):
    """Whether one of every 11th case notices a damage."""
    with tempfile.TemporaryDirectory(prefix="damaged_") as folder:
        kernel = damaged(folder, file, old, new).load(name)
        cases, expected = CASES[name]
        return any(
            not same(kernel(*args), expected(*args))
            for args in itertools.islice(cases(), 0, None, 11)
        )


def of_equal_words():
    """Whether a case of `counted_affine` differs where many words of a group are equal."""
    for name in ("words_range", "words_at"):
        real = getattr(counted, name)
        setattr(counted, name, lambda *args, real=real: real(*args) & 3)
    old = "    if PAIRS:\n"
    return notice("counted_affine", "counted.py", old, "    word = word & 3\n" + old)


def main():
    name = sys.argv[1]
    add.ROWS = 4  # of a block: many blocks in few rows
    assert backends.current() == "triton"
    found = compare(name, float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
    found["noticed"] = {
        damage: notice(name, *place)
        for damage, (operator, *place) in DAMAGES.items()
        if operator in (None, name)
    }
    if name == "counted_affine":
        found["of equal words"] = of_equal_words()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
