"""Triton's kernels, compiled for GPUs that need not be there: run by `kernels/test_triton.py`.

    python tests/triton_compiled.py sm_90        one JSON list: each case, and what was made of it
    python tests/triton_compiled.py              the table of docs/gpu.md, in Markdown

The launchers compile as on a GPU, with the types and specialisations of real arguments, but nothing
is launched.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
import triton
from triton.backends.compiler import GPUTarget

import torchdropout as td
from torchdropout._core.contract.layout import row_major
from torchdropout._core.kernels import triton as ours
from torchdropout._core.ops import seed_sizes

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
KERNELS = ("in_rows", "in_places", "in_blocks", "over_blocks", "in_groups")
KERNELS += ("forward", "of_queries", "of_keys")
KEY = td.Key(2**63 + 5, 2**59).tensor()
SHORT = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}


class Driver:
    """What a compilation asks of a GPU's driver."""

    def __init__(self, target):
        self.target = target

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return self.target


def numbers(shape, dtype=torch.float32):
    return torch.randn(shape).to(dtype)


def cases():
    """Operator, what is special about the case, and arguments."""
    # One row, rows whose blocks do not begin with them, rows of one mask; places of two dimensions.
    maps = {
        "one row": ((4096,), [1]),
        "rows": ((4, 70), [71, 1]),
        "a mask for all rows": ((4, 70), [0, 1]),
        "a bit for each row": ((4, 80), [1, 0]),
        "any strides": ((4, 70), [1, 4]),
    }
    every = [(torch.float32, name) for name in maps]
    every += [(dtype, "one row") for dtype in ours.DTYPES[1:]]
    laws = {f", {law.name.lower()}": int(law) for law in td._core.contract.noise.Law}
    for dtype, name in every:
        shape, strides = maps[name]
        x = numbers(shape, dtype)
        yield "masked_affine", name, (x, KEY, 0.1, 1.1, 0.0, 0.0, 0, strides)
        yield "noise_affine", f"{name}, normal", (x, KEY, laws[", normal"], 0.3, 0.2, 0, strides)
    # No memory is touched: x is one element, and the result is not written.
    x = numbers((), torch.bfloat16).expand(2**15, 2**16)
    yield "masked_affine", "2^31 elements", (x, KEY, 0.1, 1.1, 0.0, 0.0, 0, [1, 2**15])
    yield "noise_affine", "2^31 elements", (x, KEY, laws[", normal"], 0.3, 0.2, 0, [1, 2**15])
    x = numbers(4096)
    yield "masked_affine", "one row, with a shift", (x, KEY, 0.1, 1.1, 0.3, -1.0, 0, [1])
    for more in (", uniform", ", logistic"):
        yield "noise_affine", f"one row{more}", (x, KEY, laws[more], 0.3, 0.2, 0, [1])
    for dtype, name in every:
        shape, strides = maps[name]
        x, rates = numbers(shape, dtype), torch.rand(shape, dtype=torch.float64)
        yield "masked_by_rates", name, (x, KEY, rates, True, 0, strides)
        yield "dropout_add", name, (x, KEY, x, None, 0.1, 1.1, 0, strides)
    for dtype in ours.DTYPES:
        mask = 0.1, 1.1, 0, [1024, 1]
        x, bias = numbers((512, 1024), dtype), numbers(1024, dtype)
        yield "dropout_add", "rows, with a bias", (x, KEY, x, bias, *mask)
        yield "dropout_add_backward", "with sums", (x, KEY, dtype, True, *mask)
        yield "dropout_add_backward", "without sums", (x, KEY, dtype, False, *mask)
        of_four = numbers((512, 64), dtype)
        yield "counted_affine", "2 of 4", (of_four, KEY, 2, 4, -1, 2.0, 0, [64, 1])
        columns = numbers((3, 200), dtype)
        yield "counted_affine", "200 columns", (columns, KEY, 150, 200, -1, 1.5, 0, [200, 1])
        image = numbers((2, 3, 14, 14), dtype)
        strides = row_major(seed_sizes(image.shape, 2, 7))
        yield "drop_blocks", "7 x 7", (image, KEY, 2, 7, False, 0.1, 1.1, 0.0, 0, strides)
    x = numbers((512, 1024), torch.bfloat16)
    args = x, KEY, x.float(), x[0], 0.1, 1.1, 0, [1024, 1]
    yield "dropout_add", "rows, with a bias, to float32", args
    for name, strides in (("one row", [64, 1]), ("any strides", [1, 64])):
        yield "keep_bits", name, (torch.empty(0), KEY, 0.1, [64, 64], 0, strides)
    yield from squares()


def squares():
    """Cases of attention: features, keys, the mask of the scores, and mask strides."""
    for dtype, name, features, keys, causal, kind, strides in (
        (torch.bfloat16, "64 features", 64, 1024, False, None, None),
        (torch.bfloat16, "64, odd, a mask of padding", 64, 1023, False, torch.bool, None),
        (torch.bfloat16, "128, causal", 128, 1024, True, None, None),
        (torch.bfloat16, "128, odd, a mask is added", 128, 1023, False, torch.float32, None),
        (torch.bfloat16, "128, any strides", 128, 1024, False, None, (0, 1, 0, 0)),
        (torch.float16, "64, odd", 64, 1023, True, None, None),
        (torch.float32, "64, odd, a mask of padding", 64, 1023, False, torch.bool, None),
    ):
        q, k = numbers((1, 4, 128, features), dtype), numbers((1, 2, keys, features), dtype)
        mask = None if kind is None else torch.zeros(1, 1, 128, keys, dtype=kind)
        rest = mask, 0.125, causal, 0.1, 1.1, 0, strides or row_major((1, 4, 128, keys))
        yield "attention", name, (q, KEY, k, k, *rest)
        rows = torch.ones(3, 4 * 128)
        yield "attention_backward", name, (q, KEY, k, k, q, rows, q, (True, True, True), *rest)


def compile_all(target, fused):
    """Each kernel that the cases launch, with its constants."""
    triton.runtime.driver.set_active(Driver(target))
    compiled = []

    def compiling(kernel):
        run = kernel.run

        def compile_only(*args, warmup=False, **options):
            options["enable_fp_fusion"] |= fused
            made = run(*args, warmup=True, **options)
            given = {**dict(zip(kernel.arg_names, args, strict=False)), **options}
            compiled.append((kernel.__name__, given, made))
            return {options["grid"]: lambda *_: None}  # what launches it

        kernel.run = compile_only

    modules = {ours.load(operator).__module__ for operator in ours.OPERATORS}
    for module in map(sys.modules.get, {f"{ours.__name__}.elementwise", *modules}):
        for name in KERNELS:
            if name in vars(module):
                compiling(vars(module)[name])
    for operator, case, args in cases():
        if fused and operator not in ("masked_affine", "noise_affine"):
            continue
        compiled.clear()
        ours.load(operator)(*args)
        for name, options, made in compiled:
            if operator == "drop_blocks" and name != "in_places":
                continue  # that of the seeds is masked_affine's
            label = [operator, SHORT[args[0].dtype], case]
            yield label if len(compiled) == 1 else [*label[:2], f"{case}: {name}"], options, made


def tool(name, *args):
    folder = Path(triton.__file__).parent / "backends/nvidia/bin"
    return subprocess.run([folder / name, *args], capture_output=True, text=True, check=True).stdout


def elements(options, lanes):
    """Return the elements of a thread: in attention pairs of query and key, of packed bits bits."""
    of_row = options.get("BLOCKS", 0) * options.get("PER_BLOCK", 0)
    of_groups = options.get("COUNT", 0) * options.get("SIDE", 0)
    of_tile = options.get("M", 0) * options.get("N", 0)
    of_bytes = 8 * options.get("CALLS", 0)
    program = (
        of_row or of_bytes or of_groups or of_tile or options.get("PLACES") or options["COLUMNS"]
    )
    return program / (lanes * options.get("num_warps", 4))


class Instruction(NamedTuple):
    """One of a kernel's machine code: whether it counts, and where it may continue."""

    counts: bool
    target: int | None  # of a jump
    always: bool  # jumps, or ends the kernel


MATRIX = re.compile(r"HMMA|HGMMA|QGMMA|IMMA|UTC\w*MMA|v_mfma|v_smfma")


def of_nvidia(code):
    """The instructions of `cuobjdump -sass`; those of the uniform path of a warp do not count."""
    each = re.findall(r"/\*([0-9a-f]{4,})\*/\s+(@!?U?P\w+ )?([A-Z][\w.]*)([^;]*);", code)
    place = {int(address, 16): i for i, (address, *_) in enumerate(each)}
    uniform = re.compile(r"(U[A-Z]|R2UR|S2UR|NOP|BRA|EXIT|BSSY|BSYNC|WARPSYNC)")
    found = []
    for _, guard, name, rest in each:
        target = None
        if name.startswith("BRA"):
            target = place[int(re.search(r"0x([0-9a-f]+)", rest)[1], 16)]
        free = guard or (target is not None and "P" in rest.split("0x")[0])
        ends = name.startswith(("BRA", "EXIT")) and not free
        counts = not (uniform.match(name) or MATRIX.match(name))
        found.append(Instruction(counts, target, ends))
    return found


def of_amd(text):
    """The instructions of the text for an AMD GPU; those of scalars do not count."""
    place, names = {}, []
    for line in text.splitlines():
        if label := re.match(r"(\.LBB\w+):", line):
            place[label[1]] = len(names)
        elif name := re.match(r"\s+([a-z]\w+)\s*(\S*)", line):
            names.append(name.groups())
    vector = ("v_", "global_", "ds_", "buffer_")
    return [
        Instruction(
            name.startswith(vector) and not MATRIX.match(name),
            place.get(operand) if "branch" in name else None,
            name in ("s_branch", "s_endpgm"),
        )
        for name, operand in names
    ]


def shortest(code, start=0, goal=None):
    """The fewest vector instructions from a place to another, or to the end of the kernel.

    A loop counts once, and the instructions of tensor cores do not count.
    """
    costs, ahead = {start: 0}, [start]
    while ahead:
        i = min(ahead, key=costs.__getitem__)
        ahead.remove(i)
        own = code[i]
        if i == goal or (goal is None and own.always and own.target is None):
            return costs[i]
        following = [j for j in (own.target, None if own.always else i + 1) if j is not None]
        for j in following:
            if j < len(code) and costs[i] + own.counts < costs.get(j, math.inf):
                costs[j] = costs[i] + own.counts
                ahead.append(j)
    return None


def of_loop(code):
    """The fewest vector instructions of a round of the longest loop that has no loop inside."""
    loops = [(own.target, i) for i, own in enumerate(code) if own.target is not None]
    loops = [(first, last) for first, last in loops if first <= last]
    inner = [
        (first, last)
        for first, last in loops
        if not any((first <= a and b < last) or (first < a and b <= last) for a, b in loops)
    ]
    first, last = max(inner, key=lambda loop: loop[1] - loop[0])
    return shortest(code, first, last)


def facts(options, made):
    """What tests and the table need of the machine code."""
    if "cubin" not in made.asm:
        text = made.asm["amdgcn"]

        def field(name):
            return int(re.search(rf"\.{name}:\s+(\d+)", text)[1])

        code = text.split(".Lfunc_end")[0]
        instructions = re.findall(r"^\s+([a-z]\w+)", code, re.M)
        # All of them: a flag, which no path through the code knows, decides between two blocks.
        counted = of_amd(code)
        vector = of_loop(counted) if "M" in options else sum(one.counts for one in counted)
        return {
            "instructions": sorted(set(instructions)),
            "vector": vector / elements(options, 64),
            "registers": field("vgpr_count"),
            # Scalars that are moved to lanes of vector registers take no memory.
            "spills": field("vgpr_spill_count") + field("private_segment_fixed_size"),
        }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(made.asm["cubin"])
        usage, code = tool("cuobjdump", "-res-usage", path), tool("cuobjdump", "-sass", path)
    registers, stack, local = (
        int(re.search(rf"{name}:(\d+)", usage)[1]) for name in ("REG", "STACK", "LOCAL")
    )
    # `HFMA2 R0, -RZ, RZ, ...` is a constant: zero times zero, and a sum.
    machine = re.findall(
        r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?(?!HFMA2\S* R\w+, -RZ, RZ,)([A-Z][\w.]*)", code
    )
    of_ptx = re.findall(r"^\s+(?:@!?%\w+ )?([a-z_]\S+)", made.asm["ptx"], re.M)
    return {
        "instructions": sorted(set(of_ptx)),
        "machine": sorted(set(machine)),
        "vector": (of_loop if "M" in options else shortest)(of_nvidia(code))
        / elements(options, 32),
        "registers": registers,
        "spills": stack + local,
    }


def table():
    """The figures of all targets, a row a case."""
    found = {}
    for name in TARGETS:
        done = subprocess.run(
            [sys.executable, __file__, name], capture_output=True, text=True, check=True
        )
        for label, fact in json.loads(done.stdout.splitlines()[-1]):
            found.setdefault(tuple(label), {})[name] = fact
    print("| operator | type | case | " + " | ".join(TARGETS) + " |")
    print("|---" * (3 + len(TARGETS)) + "|")
    for (operator, dtype, case), each in found.items():
        if dtype not in ("float32", "bfloat16"):
            continue
        row = [f"{f['vector']:.1f} / {f['registers']} / {f['spills']}" for f in each.values()]
        print(f"| `{operator}` | {dtype} | {case} | " + " | ".join(row) + " |")


def main():
    if len(sys.argv) == 1:
        table()
        return
    fused = "fused" in sys.argv  # to see that a fused multiply-add would be seen
    target = TARGETS[sys.argv[1]]
    found = [(label, facts(o, made)) for label, o, made in compile_all(target, fused)]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
