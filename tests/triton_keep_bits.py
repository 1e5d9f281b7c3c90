"""The Triton kernel of `keep_bits`: run by `kernels/test_triton.py`.

    python tests/triton_keep_bits.py            compared with the reference, in the interpreter
    python tests/triton_keep_bits.py sm_90      compiled for a GPU that need not be there

Each prints one JSON object.
"""

from __future__ import annotations

import itertools
import json
import re
import sys

import torch

import triton_cases
from torchdropout import backends
from torchdropout.contract.keep import uniform
from torchdropout.contract.layout import row_major
from torchdropout.contract.seed import as_int64
from torchdropout.kernels import reference, triton

SHAPES = (  # and mask strides: bits in order, of fewer than a byte, shared, in another order
    ([6, 40], [40, 1]),
    ([3], [1]),
    ([2, 1000], [1000, 1]),
    ([5, 64], [64, 1]),
    ([4, 5, 3], [5, 1, 0]),
    ([4, 9], [0, 1]),
    ([4, 70], [1, 4]),
    ([4, 70], [71, 1]),
    ([3, 2], [-2, 1]),
    ([2, 2], [0, 0]),
    ([], []),
    ([0, 3], [3, 1]),
)


def cases():
    for key, base in itertools.product(triton_cases.KEYS, triton_cases.BASES):
        for shape, strides in SHAPES:
            # At an element's own uniform only the low half decides.
            tie = uniform(key.seed, key.stream, (base + 2) % 2**64)
            for p in (0.3, 0.5, 1.0, tie / 2**32, (tie + 1) / 2**32):
                yield torch.empty(0), key.tensor(), p, shape, as_int64(base), strides


DAMAGES = {
    "tie rule": (">= low", "> low"),
    "order of bits": ("(second.to(tl.int32) << 1)", "(second.to(tl.int32) << 2)"),
    "order of words": ("above(w1, limit, TIES) << 2", "above(w2, limit, TIES) << 2"),
    "no tie is found": ("tl.max((ties != 0)", "tl.min((ties != 0)"),
    "bits after the last": ("& ((1 << inside) - 1)", "& 255"),
    "bits after the last, in places": (") & inside", ")"),
    "a base within a block": ("and base % PER_BLOCK == 0", ""),
}


def same(args, kernel):
    return torch.equal(kernel(*args), reference.packed_bits(*args))


def notices(old, new):
    """Whether a case notices a damage."""
    with triton_cases.tempfile.TemporaryDirectory(prefix="damaged_") as folder:
        kernel = triton_cases.damaged(folder, "keep_bits.py", old, new).load("keep_bits")
        return any(not same(args, kernel) for args in cases())


def compare():
    assert backends.current() == "triton"
    operator = torch.ops.torchdropout.keep_bits.default
    module = sys.modules[triton.load("keep_bits").__module__]
    kernel, calls = triton.load("keep_bits"), []
    module.keep_bits = lambda *args: calls.append(args) or kernel(*args)
    every = list(cases())
    differ = [repr(args[2:]) for args in every if not same(args, operator)]
    module.keep_bits = kernel
    return {
        "cases": len(every),
        "calls": len(calls),
        "differ": differ[:20],
        "noticed": {name: notices(*damage) for name, damage in DAMAGES.items()},
    }


def compiled(name):
    """Vector instructions of a bit on the shortest path, and what is spilled."""
    import triton as language

    import triton_compiled

    target = triton_compiled.TARGETS[name]
    language.runtime.driver.set_active(triton_compiled.Driver(target))
    kernel = triton.load("keep_bits")
    module, found = sys.modules[kernel.__module__], {}
    for part in ("in_blocks", "in_places"):
        jit = getattr(module, part)
        run = jit.run

        def compile_only(*args, run=run, part=part, warmup=False, **options):
            found[part] = options, run(*args, warmup=True, **options)

        jit.run = compile_only
    key = triton_cases.KEYS[0].tensor()
    kernel(torch.empty(0), key, 0.1, [64, 64], 0, row_major([64, 64]))
    kernel(torch.empty(0), key, 0.1, [64, 64], 0, [1, 64])
    facts = {}
    for part, (options, made) in found.items():
        bits = 8 * options["CALLS"] if part == "in_blocks" else options["PLACES"]
        facts[part] = triton_compiled.facts({**options, "PLACES": bits}, made)
    return {
        part: {
            "vector": round(fact["vector"], 1),
            "registers": fact["registers"],
            "spills": fact["spills"],
            "fused": [i for i in fact["instructions"] if re.match(r"fma\.", i)],
        }
        for part, fact in facts.items()
    }


if __name__ == "__main__":
    print(json.dumps(compiled(sys.argv[1]) if len(sys.argv) > 1 else compare()))
