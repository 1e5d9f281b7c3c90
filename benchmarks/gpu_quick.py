"""A verdict on a GPU in five minutes: `make gpu-quick`.

    python benchmarks/gpu_quick.py [FOLDER]              writes gpu-quick.md and gpu-quick.json
    python benchmarks/gpu_quick.py --device cpu --smoke  that each part runs, without a GPU

Each part stands alone: one that fails is reported, and the others run. Bits are compared with those
of a CPU, eight calls for a function and dtype, of one shape, so that a kernel is compiled once.
Device time is that of a replayed CUDA graph of many calls, whose tensors take turns and together
are larger than the L2 cache. Host time is that of calls that are not waited for.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

import torchdropout as td
from torchdropout import functional as own
from torchdropout._core.kernels import devices
from torchdropout._tools import info

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
HALF = torch.bfloat16
KEYS = (td.Key(2**63 + 5, 2**40 + 1), td.Key(7))
PLACES = (0, 2**35 - 21, 2**33, 8)  # some begin within a Philox call
P = 0.1
Call = Callable[[], object]


class Goal(NamedTuple):
    """A figure and what it is to be; `met` is None where there is no goal."""

    name: str
    figure: float
    met: bool | None
    goal: str | None = None


class Run:
    """What a verdict is made of."""

    def __init__(self, device: str, smoke: bool) -> None:
        self.device, self.smoke = torch.device(device), smoke
        self.is_cuda = self.device.type == "cuda"
        self.began = time.monotonic()
        self.facts: dict[str, str] = {}
        self.goals: list[Goal] = []
        self.faults: dict[str, str] = {}

    def part(self, function: Callable[[Run], None]) -> None:
        """Run a part; what it raises is a fault of it alone."""
        began = time.monotonic()
        try:
            function(self)
        except Exception:
            self.faults[function.__name__] = traceback.format_exc()
        self.facts[f"seconds of {function.__name__}"] = f"{time.monotonic() - began:.1f}"

    def check(self, name: str, passed: bool) -> None:
        """Note a goal that is met or not."""
        self.goals.append(Goal(name, float(passed), passed))

    def figure(self, name: str, figure: float, goal: str = "", met: bool = True) -> None:
        """Note a figure; tiny sizes have no goal."""
        judged = bool(goal) and not self.smoke
        self.goals.append(Goal(name, figure, met if judged else None, goal))

    def randn(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """The same normal numbers at each call, on the CPU."""
        draw = torch.Generator().manual_seed(1)
        return torch.randn(shape, generator=draw).to(dtype)


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def environment(run: Run) -> None:
    run.facts["torch"] = torch.__version__
    run.facts["devices"] = info.gather()["devices"]
    for package in ("triton", "numpy"):
        run.facts[package] = str(getattr(__import__(package), "__version__", "?"))
    if run.is_cuda:
        card = torch.cuda.get_device_properties(run.device)
        run.facts["card"] = f"{card.name}, compute capability {card.major}.{card.minor}"
        run.facts["memory"] = f"{card.total_memory / 2**30:.0f} GiB, L2 {card.L2_cache_size} bytes"
        run.facts["CUDA"] = str(torch.version.cuda or torch.version.hip)


def calls(dtype: torch.dtype, run: Run) -> Iterator[tuple[str, Callable[..., torch.Tensor], bool]]:
    """Name, function of (x, key, p, place), and whether its bits are exactly those of a CPU."""

    def at(place: int) -> td.MaskLayout:
        return td.MaskLayout(place, (96, 1))

    def each(x: torch.Tensor, k: td.Key, p: float, _: int) -> torch.Tensor:
        return own.dropout(x, x.detach().new_full(x.shape[1:], p), key=k)

    def attend(x: torch.Tensor, k: td.Key, p: float, _: int) -> torch.Tensor:
        q = x.view(1, 2, -1, 16)
        return own.scaled_dot_product_attention(q, q, q, None, p, dropout_key=k)

    yield "dropout", lambda x, k, p, at_: own.dropout(x, p, key=k, layout=at(at_)), True
    yield "dropout, places", lambda x, k, p, _: own.dropout(x.t(), p, key=k), True
    yield "dropout, p for each", each, True
    yield "alpha_dropout", lambda x, k, p, _: own.alpha_dropout(x, p, True, key=k), True
    yield "dropout1d", lambda x, k, p, _: own.dropout1d(x, p, key=k), True
    yield "gaussian_dropout", lambda x, k, p, _: own.gaussian_dropout(x, p, key=k), True
    yield "uniform_dropout", lambda x, k, p, _: own.uniform_dropout(x, p, key=k), True
    yield "n_m_dropout", lambda x, k, p, _: own.n_m_dropout(x, 2, 4, key=k), True
    yield "drop_block1d", lambda x, k, p, _: own.drop_block1d(x[None], p, 5, key=k), True
    yield "dropout_add", lambda x, k, p, _: own.dropout_add(x, x, p, bias=x[0], key=k), True
    if dtype != torch.float64:
        yield "attention", attend, False


def bits(run: Run) -> None:
    """Forward and gradient of each function and dtype, on both devices."""
    for dtype in DTYPES[: 1 if run.smoke else 4]:
        x = run.randn(8, 96, dtype=dtype)
        for name, function, exact in calls(dtype, run):
            wrong = 0
            cases = list(itertools.product(KEYS, PLACES))
            for number, (key, place) in enumerate(cases[:1] if run.smoke else cases):
                p = (0.1, 0.3, 0.45)[number % 3]
                found = _with_gradient(function, x.to(run.device), key, p, place)
                with td.backends.use("reference"):
                    known = _with_gradient(function, x, key, p, place)
                wrong += not all(_same(a, b, exact) for a, b in zip(found, known, strict=True))
            run.check(f"bits of {name}, {dtype_name(dtype)}", wrong == 0)


def _with_gradient(
    function: Callable[..., torch.Tensor], x: torch.Tensor, *rest: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = x.detach().requires_grad_()
    y = function(leaf, *rest)
    (gradient,) = torch.autograd.grad(y, leaf, torch.ones_like(y))
    return y.detach().cpu(), gradient.cpu()


def _same(a: torch.Tensor, b: torch.Tensor, exact: bool) -> bool:
    if exact:
        return torch.equal(a, b)
    close = 16 * torch.finfo(a.dtype).eps * float(b.abs().amax())
    return bool(((a - b).abs().double() <= close).all())


def streams_and_graphs(run: Run) -> None:
    """Masks on two streams, and in the replays of a captured call."""
    if not run.is_cuda:
        return
    x = run.randn(2**16).to(run.device)
    expected = own.dropout(x, P, key=KEYS[0])
    found = []
    for stream in (torch.cuda.Stream(), torch.cuda.Stream()):
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            found.append(own.dropout(x, P, key=KEYS[0]))
    torch.cuda.synchronize()
    run.check("two streams", all(torch.equal(y, expected) for y in found))
    for key in (None, KEYS[0]):
        graph, y = _captured(partial(own.dropout, x, P, key=key))
        graph.replay()
        first = y.clone()
        graph.replay()
        torch.cuda.synchronize()
        same = torch.equal(first, y)
        run.check("a graph draws anew" if key is None else "a graph keeps a key", same != (not key))


def _captured(function: Callable[[], Any], times: int = 1) -> tuple[Any, Any]:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(times):
            result = function()
    return graph, result


def device_seconds(run: Run, makes: Sequence[Call]) -> float:
    """Seconds of one call on the device; the calls take turns."""
    turns = itertools.cycle(makes)
    times = len(makes) * (1 if run.smoke else max(1, 20 // len(makes)))
    if not run.is_cuda:
        return host_seconds(run, makes[0])
    graph, _ = _captured(lambda: next(turns)(), times)
    found = []
    for _ in range(9):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end) / times / 1e3)
    return statistics.median(found)


def host_seconds(run: Run, call: Call) -> float:
    """Seconds until a call returns, of many that are not waited for."""
    times, found = 1 if run.smoke else 50, []
    for _ in range(1 if run.smoke else 3):
        call()
    for _ in range(1 if run.smoke else 15):
        if run.is_cuda:
            torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(times):
            call()
        found.append((time.perf_counter() - began) / times)
    return statistics.median(found)


def rotated(run: Run, shape: tuple[int, ...], dtype: torch.dtype) -> list[torch.Tensor]:
    """Tensors that are together larger than the L2 cache, twice."""
    x = run.randn(*shape, dtype=dtype).to(run.device)
    l2 = torch.cuda.get_device_properties(run.device).L2_cache_size if run.is_cuda else 0
    return [x.clone() for _ in range(1 + min(8, 2 * l2 // (x.numel() * x.element_size())))]


def with_backward(function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> Call:
    leaves = [x.detach().requires_grad_() for x in inputs]
    gradient = torch.ones_like(function(*leaves))
    return lambda: torch.autograd.grad(function(*leaves), leaves, gradient)


WRAPS: dict[str, Callable[..., Call]] = {"forward": partial, "with backward": with_backward}


def memory_bound(run: Run) -> None:
    """Dropout next to a copy, and forward and backward next to torch's."""
    rows = 2 if run.smoke else 2**14
    for dtype, share in ((torch.float32, 0.9), (HALF, 0.8)):
        name = dtype_name(dtype)
        xs = rotated(run, (rows, 1024), dtype)
        copy = device_seconds(run, [partial(torch.empty_like(x).copy_, x) for x in xs])
        took = device_seconds(run, [partial(own.dropout, x, P) for x in xs])
        found = copy / took
        what = f"bandwidth of dropout over a copy's, {name}"
        run.figure(what, found, f">= {share}", found >= share)
        pairs = {
            "dropout": (partial(own.dropout, p=P), partial(F.dropout, p=P), xs),
            "dropout_add": (
                lambda x, r, b: own.dropout_add(x, r, P, bias=b),
                lambda x, r, b: r + F.dropout(x + b, P),
                None,
            ),
        }
        for task, (ours, theirs, alone) in pairs.items():
            inputs = [[x] if alone else [x, x.clone(), x[0].clone()] for x in xs]
            ours_s, torch_s = (
                device_seconds(run, [with_backward(f, *each) for each in inputs])
                for f in (ours, theirs)
            )
            over, what = ours_s / torch_s, f"{task} with backward over torch's, {name}"
            run.figure(what, over, "<= 1", over <= 1.0)


def attention(run: Run) -> None:
    """Causal attention with dropout, over itself without."""
    for features in (64, 128):
        shape = (1, 2, 16, features) if run.smoke else (2, 16, 4096, features)
        q = run.randn(*shape, dtype=HALF).to(run.device)
        for name, wrap in WRAPS.items():
            dropped, without = (
                device_seconds(run, [wrap(partial(_causal, p=p), q, q.clone(), q.clone())])
                for p in (P, 0.0)
            )
            over = dropped / without
            what = f"attention of {features} features, {name}, over p = 0"
            run.figure(what, over, "<= 1.25", over <= 1.25)


def _causal(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, p: float) -> torch.Tensor:
    return own.scaled_dot_product_attention(q, k, v, None, p, True)


def host(run: Run) -> None:
    """What a call of a few elements keeps the processor."""
    x = run.randn(16, 16).to(run.device)
    for name, wrap in WRAPS.items():
        most = {"forward": 20.0}.get(name, 45.0)
        ours, other = (
            1e6 * host_seconds(run, wrap(partial(of.dropout, p=P), x)) for of in (own, F)
        )
        run.figure(f"microseconds of the host, {name}", ours, f"<= {most:g}", ours <= most)
        run.figure(f"microseconds of the host in torch, {name}", other)


def no_kernel_failed(run: Run) -> None:
    run.check("no kernel gave way to the reference", not devices.failed)
    run.check("no device was refused", not any(devices.refused.values()))


PARTS = (environment, bits, streams_and_graphs, memory_bound, attention, host, no_kernel_failed)


def page(run: Run) -> str:
    """The verdict as Markdown."""
    failed = sum(goal.met is False for goal in run.goals) + len(run.faults)
    verdict = f"{failed} failed" if failed else "passed"
    lines = [f"# {run.facts.get('card', 'no GPU')}: {verdict}", ""]
    lines += [f"- {name}: {fact}" for name, fact in run.facts.items()]
    lines += ["", "| what | figure | goal | |", "|---|---|---|---|"]
    for goal in run.goals:
        passed = {True: "pass", False: "FAIL", None: ""}[goal.met]
        figure = "" if goal.goal is None else f"{goal.figure:.3g}"
        lines.append(f"| {goal.name} | {figure} | {goal.goal or ''} | {passed} |")
    for name, text in run.faults.items():
        lines += ["", f"## {name} stopped", "", "```", text.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", default="build", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes")
    options = parser.parse_args()
    run = Run(options.device, options.smoke)
    for part in PARTS:
        run.part(part)
    run.facts["seconds"] = f"{time.monotonic() - run.began:.0f}"
    options.folder.mkdir(parents=True, exist_ok=True)
    text = page(run)
    (options.folder / "gpu-quick.md").write_text(text)
    found = {"facts": run.facts, "goals": [g._asdict() for g in run.goals], "faults": run.faults}
    (options.folder / "gpu-quick.json").write_text(json.dumps(found, indent=2) + "\n")
    print(text)
    return int(bool(run.faults) or any(goal.met is False for goal in run.goals))


if __name__ == "__main__":
    raise SystemExit(main())
