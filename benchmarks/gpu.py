"""A GPU: dropout next to a copy, to torch's, and to what else is installed. `make bench-gpu`.

    python benchmarks/gpu.py [--quick]
    python benchmarks/gpu.py --device cpu --smoke    small sizes: that each row can be measured

It prints Markdown. The candidates of a row take turns, round after round, and a figure is the
median of the rounds. Nothing here has been run on a GPU yet.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from harness import kept_bytes
from operations import FEEDFORWARD, HEADS, FusedEncoderLayer, torch_layer
from torch import nn

import torchdropout.functional as td
from torchdropout import convert
from torchdropout._core.kernels import devices
from torchdropout._tools import info

P = 0.1
HALF = torch.bfloat16
OURS, TORCH, COPY = "torchdropout", "torch", "copy"
PEERS = {"flash_attn": "flash-attention", "transformer_engine": "TransformerEngine"}
OTHERS = tuple(PEERS.values())

Function = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Sizes:
    """What is measured: rows and columns, keys, samples and width of a step."""

    shapes: Sequence[tuple[int, int]] = (
        *((1, columns) for columns in (1, 16, 256)),  # what a call costs, whatever it computes
        *((rows, 1024) for rows in (1, 4, 16, 128, 1024, 16384, 65536)),
    )
    lengths: Sequence[int] = (512, 2048, 8192)
    step: tuple[int, int, int] = (16, 512, 1024)
    rounds: int = 7
    times: int = 20


QUICK = Sizes(shapes=((4, 1024), (16384, 1024)), lengths=(4096,))
SMOKE = Sizes(shapes=((1, 1), (2, 1024)), lengths=(24,), step=(2, 8, 64), rounds=2, times=1)


@dataclass(frozen=True)
class Candidate:
    """A function of tensors, for the forward, and the parameters that get gradients too."""

    function: Function
    inputs: Sequence[torch.Tensor]
    parameters: Sequence[torch.Tensor] = ()

    def forward(self) -> object:
        """Call it once."""
        return self.function(*self.inputs)

    def with_backward(self) -> Callable[[], object]:
        """The call of a forward and a backward, by all inputs and parameters."""
        inputs = [x.detach().requires_grad_() for x in self.inputs]
        gradient = torch.ones_like(self.function(*inputs))
        watched = [*inputs, *self.parameters]
        return lambda: torch.autograd.grad(self.function(*inputs), watched, gradient)

    def kept(self) -> int:
        """The bytes that are kept for the backward, besides inputs and parameters."""
        first, *rest = [x.detach().requires_grad_() for x in self.inputs]
        return kept_bytes(lambda x: self.function(x, *rest), first, [*rest, *self.parameters])


class Bench:
    """Measures on a device, and prints a row for each candidate."""

    def __init__(self, device: str, sizes: Sizes, smoke: bool) -> None:
        self.device, self.sizes = torch.device(device), sizes
        # To generate code takes longer than the rest of a smoke test.
        self.backend = "eager" if smoke else "inductor"
        self.on_cpu = self.device.type == "cpu"

    def compile(self, function: Function, whole: bool = True) -> Function:
        """For each size anew. All functions share one code here, whose compilations are limited.

        Args:
            function: What is compiled.
            whole: Whether it is an error if the compiler leaves a part of it to Python.
        """

        def run(*inputs: torch.Tensor) -> torch.Tensor:
            return function(*inputs)

        return torch.compile(run, fullgraph=whole, dynamic=False, backend=self.backend)

    def with_and_without(
        self, who: str, at: Callable[[float], Function], inputs: Sequence[torch.Tensor]
    ) -> tuple[dict[str, Candidate], dict[str, str]]:
        """Candidates at p = 0 and at P, eager and compiled, and over which of them each is printed.

        Args:
            who: Whose they are; somebody else's may be compiled in parts.
            at: Makes the function at a p, perhaps a module, whose parameters get gradients.
            inputs: Its tensors.
        """
        found, over = {}, {}
        for compiled in (False, True):
            label = f"{who}, compiled" if compiled else who
            without, dropped = f"{label}, p = 0", f"{label}, p = {P}"
            for each, p in ((without, 0.0), (dropped, P)):
                function = at(p)
                parameters = list(function.parameters()) if isinstance(function, nn.Module) else []
                if compiled:
                    function = self.compile(function, whole=not who.startswith(OTHERS))
                found[each] = Candidate(function, inputs, parameters)
            over[dropped] = without
        return found, over

    def randn(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Normal numbers on the device."""
        return torch.randn(shape, device=self.device).to(dtype)

    def sample(self, call: Callable[[], object]) -> float:
        """Seconds of a call, the mean of some."""
        times = self.sizes.times
        if self.on_cpu:
            begin = time.perf_counter()
            for _ in range(times):
                call()
            return (time.perf_counter() - begin) / times
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(times):
            call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / times / 1e3

    def medians(self, calls: dict[str, Callable[[], object]]) -> dict[str, float]:
        """Seconds of each call, which take turns."""
        for call in calls.values():
            for _ in range(3):  # compiles, and compares with the reference
                call()
        found: dict[str, list[float]] = {who: [] for who in calls}
        for _ in range(self.sizes.rounds):
            for who, call in calls.items():
                found[who].append(self.sample(call))
        return {who: statistics.median(each) for who, each in found.items()}

    def peak(self, call: Callable[[], object]) -> str:
        """The MiB that a call allocates at most."""
        if self.on_cpu:
            return ""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return f"{(torch.cuda.max_memory_allocated() - before) / 2**20:.1f}"

    def rows(
        self,
        head: str,
        candidates: dict[str, Candidate],
        over: dict[str, str],
        copied: torch.Tensor | None = None,
    ) -> None:
        """Print the rows of some candidates, forward and with the backward.

        Args:
            head: The first cells.
            candidates: By name. Somebody else's may fail, and so may one that lacks memory.
            over: For a candidate the one over whose time its own is printed.
            copied: A tensor whose copy is what memory allows.
        """
        for what in ("forward", "with backward"):
            calls: dict[str, Callable[[], object]] = {}
            if copied is not None:
                calls[COPY] = partial(torch.empty_like(copied).copy_, copied)
            for who, each in candidates.items():
                try:
                    calls[who] = each.forward if what == "forward" else each.with_backward()
                    calls[who]()
                except Exception as error:
                    if not (who.startswith(OTHERS) or isinstance(error, torch.OutOfMemoryError)):
                        raise
                    calls.pop(who, None)
                    failed = f"does not run: {type(error).__name__}"
                    print(f"| {head} | {what} | {who} | {failed} | | | | |")
            took = self.medians(calls)
            for who, call in calls.items():
                if who == COPY:
                    if what == "forward":
                        print(f"| {head} | {what} | {who} | {took[who] * 1e6:.1f} | 1.00 | | | |")
                    continue
                copies = 1 if what == "forward" else 2  # each reads a tensor and writes one
                share = f"{copies * took[COPY] / took[who]:.2f}" if COPY in took else ""
                ratio = f"{took[who] / took[over[who]]:.2f}" if over.get(who) in took else ""
                kept = f"{candidates[who].kept() / 2**20:.3f}" if what != "forward" else ""
                print(
                    f"| {head} | {what} | {who} | {took[who] * 1e6:.1f} | {share} | {ratio} | "
                    f"{self.peak(call)} | {kept} |"
                )


def title(text: str, ratio: str) -> None:
    print(f"\n## {text}\n")
    print(f"| dtype | size | what | who | us | of a copy | {ratio} | peak MiB | kept MiB |")
    print("|---" * 9 + "|")


def name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def composed(x: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return residual + F.dropout(x + bias, P)


def fused(x: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return td.dropout_add(x, residual, P, bias=bias)


def chain(dropout: Function, x: torch.Tensor) -> torch.Tensor:
    """A dropout between neighbours, with which a compiler can fuse it."""
    return x + dropout(F.gelu(x), P)


def four(bench: Bench, own: Function, other: Function) -> dict[str, Function]:
    return {
        TORCH: other,
        f"{TORCH}, compiled": bench.compile(other),
        OURS: own,
        f"{OURS}, compiled": bench.compile(own),
    }


AGAINST = {OURS: TORCH, f"{OURS}, compiled": f"{TORCH}, compiled"}


def elementwise(bench: Bench) -> None:
    tasks = {
        "dropout": (partial(td.dropout, p=P), partial(F.dropout, p=P)),
        "dropout_add, bias": (fused, composed),
        "gelu, dropout, sum": (partial(chain, td.dropout), partial(chain, F.dropout)),
    }
    for task, (own, other) in tasks.items():
        title(task, "over torch")
        for rows, columns in bench.sizes.shapes:
            for dtype in (torch.float32, HALF):
                torch._dynamo.reset()  # or the limit of compilations is met, and eager is timed
                x = bench.randn(rows, columns, dtype=dtype)
                inputs = [x, torch.randn_like(x), x[0].clone()] if own is fused else [x]
                functions = four(bench, own, other)
                candidates = {who: Candidate(f, inputs) for who, f in functions.items()}
                bench.rows(f"{name(dtype)} | {rows} x {columns}", candidates, AGAINST, x)


def attentions(bench: Bench, features: int) -> dict[str, Callable[[float], Function]]:
    """Causal attention as a function of p; its tensors are batch, heads, length, features."""

    def of(function: Function) -> Callable[[float], Function]:
        return lambda p: lambda q, k, v: function(q, k, v, None, p, True)

    found = {OURS: of(td.scaled_dot_product_attention), TORCH: of(F.scaled_dot_product_attention)}
    with suppress(ImportError):
        from flash_attn import flash_attn_func

        def flash(p: float) -> Function:
            def run(*qkv: torch.Tensor) -> torch.Tensor:
                y = flash_attn_func(*(t.transpose(1, 2) for t in qkv), dropout_p=p, causal=True)
                return y.transpose(1, 2)

            return run

        found[PEERS["flash_attn"]] = flash
    with suppress(ImportError):
        import transformer_engine.pytorch as te

        def engine(p: float) -> Function:
            layer = te.DotProductAttention(
                16, features, attention_dropout=p, qkv_format="bshd", attn_mask_type="causal"
            )

            def run(*qkv: torch.Tensor) -> torch.Tensor:
                y = layer(*(t.transpose(1, 2).contiguous() for t in qkv))
                return y.unflatten(-1, (16, features)).transpose(1, 2)

            return run

        found[PEERS["transformer_engine"]] = engine
    return found


def attention(bench: Bench) -> None:
    """The flash kernel of torch, and flash-attention, round p to 1/256."""
    title("Causal attention of 2 samples of 16 heads", "over p = 0")
    for length in bench.sizes.lengths:
        for features, dtype in ((64, HALF), (128, HALF), (64, torch.float32)):
            torch._dynamo.reset()
            inputs = [bench.randn(2, 16, length, features, dtype=dtype) for _ in range(3)]
            candidates, over = {}, {}
            for who, make in attentions(bench, features).items():
                own, own_over = bench.with_and_without(who, make, inputs)
                candidates |= own
                over |= own_over
            bench.rows(f"{name(dtype)} | {length} x {features}", candidates, over)


def with_ours(layer: nn.Module) -> nn.Module:
    convert.convert(layer)
    return layer


def engine_layer(width: int, p: float) -> nn.Module:
    import transformer_engine.pytorch as te

    return te.TransformerLayer(
        *(width, FEEDFORWARD, HEADS),
        hidden_dropout=p,
        attention_dropout=p,
        self_attn_mask_type="no_mask",
        attn_input_format="bshd",
    )


def step(bench: Bench) -> None:
    """A layer's forward and backward; the layer of TransformerEngine is not that of torch."""
    title("A step of a transformer layer", "over p = 0")
    layers: dict[str, Callable[[int, float], nn.Module]] = {
        TORCH: torch_layer,
        OURS: lambda width, p: with_ours(torch_layer(width, p)),
        f"{OURS}, dropout_add": lambda width, p: with_ours(FusedEncoderLayer(width, p)),
    }
    if importlib.util.find_spec("transformer_engine"):
        layers[PEERS["transformer_engine"]] = engine_layer
    for dtype in (torch.float32, HALF):
        torch._dynamo.reset()
        x = bench.randn(*bench.sizes.step, dtype=dtype)
        candidates, over = {}, {}
        for who, make in layers.items():

            def at(p: float, make: Callable[[int, float], nn.Module] = make) -> nn.Module:
                return make(x.shape[-1], p).to(bench.device, dtype)  # noqa: B023

            own, own_over = bench.with_and_without(who, at, [x])
            candidates |= own
            over |= own_over
        bench.rows(f"{name(dtype)} | {' x '.join(map(str, x.shape))}", candidates, over)


def main(given: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_const", const=QUICK, dest="sizes", help="one size")
    sizes.add_argument("--smoke", action="store_const", const=SMOKE, dest="sizes", help="tiny ones")
    options = parser.parse_args(None if given is None else [*given])
    bench = Bench(options.device, options.sizes or Sizes(), options.sizes is SMOKE)
    card = "a CPU" if bench.on_cpu else torch.cuda.get_device_name(bench.device)
    print(f"{card}, torch {torch.__version__}; {info.gather()['devices']}")
    for package, label in PEERS.items():
        if importlib.util.find_spec(package) is None:
            print(f"\n{label}: not installed")
    # All candidates of a size are compiled, with gradients and without.
    with torch._dynamo.config.patch(recompile_limit=64):
        elementwise(bench)
        attention(bench)
        step(bench)
    assert devices.failed == {}, devices.failed


if __name__ == "__main__":
    main()
