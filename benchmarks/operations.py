"""Operations next to torch's and to what memory allows, in groups of cases.

    python benchmarks/operations.py forward      or another group

A function with a `Case` makes what is timed, the reference first; a function with `quick` lists the
cases of a group. `harness.py` times them, and `table.py` takes its rows from the same cases.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
import torch.nn.functional as F
from harness import Call, Candidate, Case, with_backward
from torch import nn

import torchdropout as td
import torchdropout.functional as tdf
from torchdropout import backends
from torchdropout._core import direct

ROOT = Path(__file__).parent.parent
F32, BF16, F16 = torch.float32, torch.bfloat16, torch.float16
KI, MI = 2**10, 2**20
OURS, TORCH, COMPILED = "torchdropout", "F.dropout", "torch.compile(F.dropout)"

Dropout = Callable[[torch.Tensor, float], torch.Tensor]


def grid(base: Case, sizes: tuple[int, ...], dtypes: tuple[torch.dtype, ...]) -> list[Case]:
    """All sizes in all dtypes."""
    return [replace(base, shape=(n,), dtype=dtype) for dtype in dtypes for n in sizes]


def normal(case: Case, watched: bool = False) -> torch.Tensor:
    """An input of normal numbers."""
    return torch.randn(case.shape, dtype=case.dtype, requires_grad=watched)


# --- A forward without gradients, into a new output -----------------------------------------------
# All sizes in all dtypes at p = 0.1, one thread, warm; then p, the threads and cold memory, each by
# itself, in float32.

SIZES = (16, 256, KI, 16 * KI, 256 * KI, 4 * MI, 64 * MI)
DTYPES = (F32, torch.float64, F16, BF16, torch.complex64)
QUICK_SIZES, QUICK_DTYPES = (16, 16 * KI, 256 * KI), (F32, BF16)


@cache
def compiled() -> Dropout:
    """Torch's dropout, compiled once for all sizes; an error if the compiler would give up."""
    torch._inductor.config.compile_threads = 1  # no pool of processes next to what is timed
    torch._dynamo.config.recompile_limit = 64
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    return torch.compile(lambda x, p: F.dropout(x, p), dynamic=True)


def _product(x: torch.Tensor, p: float) -> torch.Tensor:
    return x * torch.bernoulli(torch.full_like(x, 1 - p)) / (1 - p)


def _numpy(x: torch.Tensor, p: float) -> Call:
    array, generator = x.numpy(), np.random.default_rng(harness.SEED)
    uniform = np.float64 if x.dtype == torch.float64 else np.float32
    scale = array.dtype.type(1 / (1 - p))
    return lambda: array * (generator.random(array.shape, uniform) >= p) * scale


def _forward(case: Case) -> dict[str, Call]:
    """All functions that accept the dtype."""
    x, p = normal(case), case.p
    calls: dict[str, Call] = {OURS: partial(tdf.dropout, x, p)}
    if not case.dtype.is_complex:
        calls[TORCH] = partial(F.dropout, x, p)
        calls[COMPILED] = partial(compiled(), x, p)
        calls["x * bernoulli"] = partial(_product, x, p)
    calls["torch.native_dropout"] = partial(torch.native_dropout, x, p, True)
    if case.dtype != BF16:
        calls["numpy"] = _numpy(x, p)
    return calls | {"copy_": partial(torch.empty_like(x).copy_, x)}


FORWARD = Case("forward", _forward, (256 * KI,))


def forward(quick: bool) -> list[Case]:
    if quick:
        return [*grid(FORWARD, QUICK_SIZES, QUICK_DTYPES), replace(FORWARD, memory="cold")]
    large = (16 * KI, 256 * KI, 4 * MI, 64 * MI)
    return [
        *grid(FORWARD, SIZES, DTYPES),
        *(replace(FORWARD, p=0.5, shape=(n,)) for n in (16 * KI, 4 * MI)),
        *(replace(FORWARD, threads=2, shape=(n,)) for n in large),
        *(replace(FORWARD, memory="cold", shape=(n,)) for n in large),
    ]


def reference(quick: bool) -> list[Case]:
    """What a machine without a compiler gets, by threads, whatever `--backend` says."""
    backends.use("reference")
    base = replace(FORWARD, operation="the reference, and F.dropout", only=(TORCH, OURS))
    shapes = ((2**16,),) if quick else ((KI,), (16 * KI,), (256 * KI,), (4 * MI,), (16 * MI,))
    return [
        replace(base, shape=shape, dtype=dtype, threads=threads)
        for shape in shapes
        for dtype in (F32, BF16)
        for threads in (1, 2, 4)
    ]


def _threads(name: str, case: Case) -> dict[str, Candidate]:
    call = _forward(case)[name]
    return {f"{n} thread{'s' * (n > 1)}": Candidate(call, threads=n) for n in (2, 1)}


THREADS = Case(f"{OURS}, 2 threads and 1", partial(_threads, OURS), (64 * MI,), threads=2)


def threads(quick: bool) -> list[Case]:
    """The time with one thread over that with two."""
    base = replace(THREADS, shape=(MI,)) if quick else THREADS
    return [
        replace(
            base, operation=f"{who}, 2 threads and 1", setup=partial(_threads, who), dtype=dtype
        )
        for who in (OURS, TORCH, "copy_")
        for dtype in (F32, BF16)
    ]


def _allocated(case: Case) -> dict[str, Candidate]:
    x = normal(case)
    into, own = torch.empty_like(x), x.clone()
    calls: dict[str, Call] = {
        "x.clone()": x.clone,
        TORCH: partial(F.dropout, x, case.p),
        OURS: partial(tdf.dropout, x, case.p),
        f"{OURS}, out=": partial(tdf.dropout, x, case.p, out=into),
        f"{OURS}, inplace=True": partial(tdf.dropout, own, case.p, inplace=True),
    }
    return {name: Candidate(call) for name, call in calls.items()}


def pages(quick: bool) -> list[Case]:
    """What an output costs in pages that are not mapped yet, and what helps."""
    base = Case("output", _allocated, (4 * MI,))
    shapes = (base.shape,) if quick else (base.shape, (64 * MI,))
    return [replace(base, shape=s, memory=memory) for memory in harness.MEMORY for s in shapes]


# --- With gradients, into an existing tensor, and what a small call costs -------------------------


def _watched(backward: bool, case: Case) -> Mapping[str, Any]:
    x = normal(case, watched=True)
    functions: dict[str, Dropout] = {OURS: tdf.dropout, TORCH: F.dropout, COMPILED: compiled()}
    calls = {name: partial(function, x, case.p) for name, function in functions.items()}
    return with_backward(calls, [x]) if backward else calls


FORWARD_BACKWARD = Case("forward and backward", partial(_watched, True), (256 * KI,))
WATCHED = Case("forward with gradients", partial(_watched, False), (256 * KI,))


def forward_backward(quick: bool) -> list[Case]:
    """All sizes in all real dtypes at p = 0.1; then two threads and cold memory in float32."""
    if quick:
        return grid(FORWARD_BACKWARD, QUICK_SIZES, QUICK_DTYPES)
    large = (256 * KI, 4 * MI, 64 * MI)
    return [
        *grid(FORWARD_BACKWARD, SIZES, DTYPES[:-1]),
        *grid(WATCHED, (16, KI, 16 * KI), (F32,)),
        *(replace(FORWARD_BACKWARD, threads=2, shape=(n,)) for n in large),
        *(replace(FORWARD_BACKWARD, memory="cold", shape=(n,)) for n in large),
    ]


def _in_place(case: Case) -> dict[str, Candidate]:
    source = normal(case)
    x = torch.empty_like(source)
    return {
        name: Candidate(partial(function, x, case.p, True, True), partial(x.copy_, source))
        for name, function in {OURS: tdf.dropout, TORCH: F.dropout}.items()
    }


def _out(case: Case) -> dict[str, Call]:
    x = normal(case)
    out = torch.zeros_like(x)
    return {OURS: partial(tdf.dropout, x, case.p, out=out), "out.copy_(x)": partial(out.copy_, x)}


IN_PLACE = Case("in place", _in_place, (64 * MI,))
OUT = Case("into out=", _out, (64 * MI,))


def into(base: Case, quick: bool) -> list[Case]:
    dtypes = (F32, BF16, F16)
    if quick:
        return grid(base, (256 * KI,), dtypes)
    two = (replace(base, threads=2, dtype=dtype) for dtype in dtypes)
    return [*grid(base, (KI, 256 * KI, 64 * MI), dtypes), *two]


class Empty(torch.autograd.Function):
    """The identity: the least that a dropout written as a Function costs."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        """Return x."""
        return x

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        """Return the gradient."""
        return gradient


class ShortEmpty(Empty):
    """The same with a node of its own, which `_short` changes."""


def _small_backward(case: Case) -> Mapping[str, Any]:
    x = normal(case, watched=True)
    calls: dict[str, Callable[[], torch.Tensor]] = {
        TORCH: partial(F.dropout, x, case.p),
        OURS: partial(tdf.dropout, x, case.p),
        "empty Function": partial(Empty.apply, x),
        "x.view_as(x)": partial(x.view_as, x),  # its node is written in C++
    }
    if direct.takes(x):  # as this package calls its own: without torch's `apply` in Python
        short = direct._short(ShortEmpty, ShortEmpty.backward)
        calls["empty Function, short"] = partial(short, x)
    return with_backward(calls, [x])


def _small_forward(case: Case) -> dict[str, Call]:
    x = normal(case)
    out = torch.zeros_like(x)
    calls: dict[str, Call] = {
        TORCH: partial(F.dropout, x, case.p),
        OURS: partial(tdf.dropout, x, case.p),
        f"{OURS}, out=": partial(tdf.dropout, x, case.p, out=out),
        f"{OURS}, in eval": partial(tdf.dropout, x, case.p, False),
    }
    if direct.takes(x):  # the parts: with a draw and a new output; the kernel alone, with a key
        rest = (), True, False, None, None, (), None, None
        calls["_C.dropout"] = partial(direct._C.dropout, x, case.p, *rest)
        call = (False, 1, 0, 0, None, (case.p, 1 / (1 - case.p), 0.0, 0.0))
        calls["_C.write, out="] = partial(direct._C.write, x, out, call)
    return calls


def small(quick: bool) -> list[Case]:
    """What a small call costs, and how much of that torch's `autograd.Function` costs alone."""
    backward = Case("forward and backward", _small_backward, (1,))
    without = replace(backward, operation="forward", setup=_small_forward)
    sizes, more = ((16,), ()) if quick else ((1, 16, 256, 16 * KI), (4,))
    return [*grid(backward, sizes, (F32,)), *grid(without, (*more, *sizes), (F32,))]


# --- Keep bits alone ------------------------------------------------------------------------------


def source() -> Path:
    """The file with the current kernels; it does not exist for the reference."""
    return ROOT / "csrc" / f"{backends.current()}.cpp"


@cache
def keep_bits(file: Path) -> Any:
    """The function of the kernels that makes keep bits: seed, p, number of elements, their words.

    No operator returns what it makes on a CPU. So the file is compiled once more, with the flags of
    setup.py, by the compiler that the package was built with or that CXX names.
    """
    script = [sys.executable, str(ROOT / "tests" / "csrc" / "flags.py"), file.stem]
    flags = subprocess.run(script, check=True, capture_output=True, text=True).stdout.split()
    table = f"k{file.stem.capitalize()}Kernels"
    flags += ["-fPIC", "-shared", f"-DKERNELS={table}", f"-I{file.parent}"]
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "bits.so"
        sources = [str(file), str(Path(__file__).with_name("bits.cpp"))]
        compiler = os.environ.get("CXX", "g++").split()
        subprocess.run([*compiler, *flags, *sources, "-o", str(library)], check=True)
        function = ctypes.CDLL(str(library)).keep_bits
    function.argtypes = (ctypes.c_uint64, ctypes.c_double, ctypes.c_int64, ctypes.c_void_p)
    function.restype = None
    return function


def _bits(case: Case) -> dict[str, Call]:
    (n,) = case.shape
    key = td.Key(harness.SEED)
    mask = partial(td.keep_mask, case.shape, case.p, key=key)
    if not source().exists():
        return {"keep_mask": mask}
    words = (ctypes.c_uint64 * (n // 64))()
    alone = partial(keep_bits(source()), key.seed, case.p, n, words)
    alone()
    few = torch.frombuffer(words, dtype=torch.int64, count=1024)
    made = (few.unsqueeze(-1) >> torch.arange(64)) & 1 != 0
    if not torch.equal(made.flatten(), mask()[: made.numel()]):
        raise RuntimeError("the bits of the kernel alone are not those of keep_mask")
    return {"keep bits": alone, "keep_mask": mask}


BITS = Case("keep bits", _bits, (MI,), torch.bool)


def bits(quick: bool) -> list[Case]:
    return [replace(BITS, shape=(n,)) for n in ((2**16,) if quick else (MI, 64 * MI))]


# --- Variants -------------------------------------------------------------------------------------

COMPOSED = "torch's composition"


def _dropout_add(bias: bool, backward: bool, case: Case) -> Mapping[str, Any]:
    shapes = [case.shape, case.shape, *([case.shape[-1:]] if bias else ())]
    inputs = [torch.randn(s, dtype=case.dtype, requires_grad=backward) for s in shapes]
    x, residual = inputs[:2]
    b = inputs[2] if bias else None
    calls: dict[str, Callable[[], torch.Tensor]] = {
        OURS: lambda: tdf.dropout_add(x, residual, case.p, bias=b),
        COMPOSED: lambda: residual + F.dropout(x if b is None else x + b, case.p),
    }
    return with_backward(calls, inputs) if backward else calls


DROPOUT_ADD = Case("dropout_add with bias", partial(_dropout_add, True, False), (65536, 1024))


def dropout_add(quick: bool) -> list[Case]:
    """Residual and dropout in one pass: `residual + dropout(x + bias)`."""
    named = {
        DROPOUT_ADD.operation: DROPOUT_ADD.setup,
        "dropout_add": partial(_dropout_add, False, False),
        "dropout_add with bias, forward and backward": partial(_dropout_add, True, True),
    }
    return [
        replace(DROPOUT_ADD, operation=operation, setup=setup, shape=shape, dtype=dtype)
        for operation, setup in named.items()
        for shape in (((256, 1024),) if quick else ((256, 1024), DROPOUT_ADD.shape))
        for dtype in (F32, BF16)
    ]


SCALED = "x * scale"


def _images(layout: torch.memory_format, case: Case) -> dict[str, Call]:
    x, scale = normal(case).to(memory_format=layout), 1 / (1 - case.p)
    return {
        OURS: partial(tdf.dropout2d, x, case.p),
        "F.dropout2d": partial(F.dropout2d, x, case.p),
        SCALED: lambda: x * scale,
    }


def _paths(case: Case) -> dict[str, Call]:
    x, kept = normal(case), 1 - case.p

    def product() -> torch.Tensor:
        """Drop-path as vision libraries write it."""
        return x * x.new_empty((len(x), *(1,) * (x.ndim - 1))).bernoulli_(kept).div_(kept)

    return {
        OURS: partial(tdf.dropout, x, case.p, broadcast_dims=tuple(range(1, x.ndim))),
        "x * mask": product,
        SCALED: lambda: x * (1 / kept),
    }


DROP_PATH = Case("drop-path", _paths, (64, 197, 768))
IMAGES = Case("Dropout2d", partial(_images, torch.contiguous_format), (32, 256, 56, 56))


def channels(quick: bool) -> list[Case]:
    """Shared draws, against torch and a product with a constant."""
    last = partial(_images, torch.channels_last)
    cases = IMAGES, replace(IMAGES, operation="Dropout2d, channels last", setup=last), DROP_PATH
    if quick:
        shapes = (2, 16, 28, 28), (2, 16, 28, 28), (4, 197, 64)
        return [replace(case, shape=shape) for case, shape in zip(cases, shapes, strict=True)]
    return [
        replace(case, dtype=dtype, threads=threads)
        for case in cases
        for dtype in (F32, BF16)
        for threads in (1, 2)
    ]


SHARED_IN_PLACE = ", in place"


def _shared(case: Case) -> Mapping[str, Any]:
    """Into an existing tensor or in place, and a product with a mask that exists."""
    kind = case.operation.removesuffix(SHARED_IN_PLACE)
    x = normal(case)
    if kind.endswith("channels_last"):
        x = x.contiguous(memory_format=torch.channels_last)
    dims = (1,) if kind == "rows" else tuple(range(2, x.ndim))
    sizes = [1 if dim in dims else size for dim, size in enumerate(case.shape)]
    mask = torch.empty(sizes, dtype=case.dtype).bernoulli_(1 - case.p).div_(1 - case.p)
    ours = partial(tdf.dropout, x, case.p, broadcast_dims=dims)
    if case.operation.endswith(SHARED_IN_PLACE):
        # The same values at each call: a product with zeros is fast, one with subnormals is not.
        restore = partial(x.copy_, x.clone())
        return {
            OURS: Candidate(partial(ours, inplace=True), restore),
            "x * m": Candidate(partial(x.mul_, mask), restore),
        }
    out = torch.zeros_like(x)
    return {OURS: partial(ours, out=out), "x * m": partial(torch.mul, x, mask, out=out)}


def shared_of(kib: int, place: str = "") -> list[Case]:
    """Maps of two sizes in both layouts, and rows, each of about that many KiB in float32."""
    elements = kib * 256
    kinds = ("channels", "channels, channels_last")
    shapes: list[tuple[str, tuple[int, ...]]] = [
        (kind, (max(1, elements // (64 * side * side)), 64, side, side))
        for kind in kinds
        for side in (16, 56)
    ]
    shapes.append(("rows", (max(1, elements // 2**15), 128, 256)))
    return [Case(kind + place, _shared, shape) for kind, shape in shapes]


def shared(quick: bool) -> list[Case]:
    """Dropout whose draws are shared, and a product with a mask."""
    sizes = (1,) if quick else (1, 4, 16, 128, 512)
    places = ("", SHARED_IN_PLACE)
    cases = [case for place in places for n in sizes for case in shared_of(n * KI, place)]
    if quick:
        return cases
    half = [replace(case, dtype=BF16) for case in shared_of(16 * KI)]
    return [*shared_of(64), *cases, *half]


def _attention(causal: bool, case: Case) -> dict[str, Candidate]:
    inputs = [normal(case, watched=True) for _ in range(3)]

    def of(function: Callable[..., torch.Tensor], p: float) -> Callable[[], torch.Tensor]:
        return lambda: function(*inputs, None, p, causal)

    calls = {
        OURS: of(tdf.scaled_dot_product_attention, case.p),
        "torch": of(F.scaled_dot_product_attention, case.p),
        "torch at p = 0": of(F.scaled_dot_product_attention, 0.0),
    }
    return with_backward(calls, inputs)


ATTENTION = Case("attention, forward and backward", partial(_attention, False), (8, 8, 512, 64))


def attention(quick: bool) -> list[Case]:
    causal = replace(
        ATTENTION, operation=f"causal {ATTENTION.operation}", setup=partial(_attention, True)
    )
    shapes = ((2, 2, 64, 16),) if quick else (ATTENTION.shape, (64, 8, 64, 64), (1, 8, 2048, 64))
    return [
        replace(base, shape=shape, dtype=dtype)
        for shape in shapes
        for base in (ATTENTION, causal)
        for dtype in (F32, BF16)
    ]


# --- Training steps -------------------------------------------------------------------------------

HEADS, FEEDFORWARD = 4, 1024
NONE, FUSED = "p = 0", "torchdropout, dropout_add"


class FusedEncoderLayer(nn.TransformerEncoderLayer):
    """Torch's layer with `DropoutAdd` for the two residual branches."""

    def __init__(self, width: int, p: float) -> None:
        super().__init__(width, HEADS, FEEDFORWARD, p, batch_first=True)
        self.dropout = td.nn.Dropout(p)
        self.dropout1 = td.nn.DropoutAdd(p)
        self.dropout2 = td.nn.DropoutAdd(p)

    def forward(self, src: torch.Tensor) -> torch.Tensor:
        """Post-norm, no masks."""
        attended = self.self_attn(src, src, src, need_weights=False)[0]
        x = self.norm1(self.dropout1(attended, src))
        hidden = self.linear2(self.dropout(self.activation(self.linear1(x))))
        return self.norm2(self.dropout2(hidden, x))


def torch_layer(width: int, p: float) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(width, HEADS, FEEDFORWARD, p, batch_first=True)


def dropped_in(width: int, p: float) -> nn.TransformerEncoderLayer:
    """Torch's layer with each of its dropouts replaced by ours."""
    layer = torch_layer(width, p)
    for name in ("dropout", "dropout1", "dropout2"):
        setattr(layer, name, td.nn.Dropout(p))
    return layer


def _transformer(case: Case) -> dict[str, Candidate]:
    """A forward and a backward without dropout inside attention, all with the same weights."""
    width, p = case.shape[-1], case.p
    layers: dict[str, nn.TransformerEncoderLayer] = {
        NONE: torch_layer(width, 0.0),
        FUSED: FusedEncoderLayer(width, p),
        "torch": torch_layer(width, p),
        OURS: dropped_in(width, p),
        "dropout_add at p = 0": FusedEncoderLayer(width, 0.0),
    }
    data, steps = torch.randn(case.shape), {}
    for name, layer in layers.items():
        layer.load_state_dict(layers[NONE].state_dict())
        layer.self_attn.dropout = 0.0
        x = data.clone().requires_grad_()  # as in the middle of a stack
        steps |= with_backward({name: partial(layer, x)}, [x, *layer.parameters()])
    return steps


TRANSFORMER = Case("training step", _transformer, (32, 128, 256))


def transformer(quick: bool) -> list[Case]:
    """The cost of dropout in a step of `nn.TransformerEncoderLayer`, over that at p = 0."""
    shape = (2, 32, 256) if quick else TRANSFORMER.shape
    return [replace(TRANSFORMER, shape=shape, threads=threads) for threads in (1, 2)]


def _keyed(convert: bool, case: Case) -> dict[str, Call]:
    x, width = torch.randn(case.shape), case.shape[-1]
    layer = nn.TransformerEncoderLayer(width, HEADS, FEEDFORWARD, case.p, batch_first=True)
    model: nn.Module = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
    if convert:
        td.convert(model)
    optimiser, numbers = torch.optim.SGD(model.parameters(), 1e-6), itertools.count()

    def work() -> None:
        optimiser.zero_grad()
        model(x).square().mean().backward()
        optimiser.step()

    def keyed() -> None:
        with td.keyed(model, seed=0, step=next(numbers), batch=(0, 2 * len(x))):
            work()

    name = "converted" if convert else "torch"
    # The sites are found in the first forward of a scope, once for a model.
    return {name: work, f"{name}, keyed": keyed, "sites": partial(td.find_sites, model, x)}


def keyed(quick: bool) -> list[Case]:
    """The cost of a scope: a training step in `td.keyed`, over one without.

    In a scope torch's dropouts are drawn by our kernels, which gains more than the scope costs; in
    the same model converted, they are ours in both.
    """
    plan = harness.Plan(budget_s=40.0, fewest=31, most=301, slow_rounds=31)  # to decide about 2 %
    return [
        Case("training step", partial(_keyed, convert), shape, plan=plan)
        for shape in ([(2, 32, 64)] if quick else [(16, 128, 256), (8, 64, 128)])
        for convert in (False, True)
    ]


GROUPS: dict[str, Callable[[bool], list[Case]]] = {
    "forward": forward,
    "forward_backward": forward_backward,
    "inplace": partial(into, IN_PLACE),
    "out": partial(into, OUT),
    **{
        group.__name__: group
        for group in (
            *(reference, threads, pages, small, bits, dropout_add, channels, shared, attention),
            *(transformer, keyed),
        )
    },
}

if __name__ == "__main__":
    harness.main(__doc__, GROUPS)
