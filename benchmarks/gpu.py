"""A GPU: dropout next to torch's, eager and compiled, and a copy. `make bench-gpu`.

    python benchmarks/gpu.py [--quick]

It prints Markdown: microseconds, the best of several rounds, and the share of a copy's bandwidth.
Nothing here has been run yet.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F

import torchdropout.functional as td
from torchdropout import info
from torchdropout.kernels import devices

ROUNDS, P = 7, 0.1


def seconds(call: Callable[[], object], times: int = 20) -> float:
    """The shortest mean time of a call over some rounds, after warming up."""
    for _ in range(5):
        call()
    best = float("inf")
    for _ in range(ROUNDS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(times):
            call()
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) / times / 1e3)
    return best


def with_backward(
    function: Callable[..., torch.Tensor], inputs: list[torch.Tensor]
) -> Callable[[], object]:
    watched = [x.detach().requires_grad_() for x in inputs]
    gradient = torch.ones_like(inputs[0])
    return lambda: torch.autograd.grad(function(*watched), watched, gradient)


def peak(call: Callable[[], object]) -> int:
    """The bytes that a call allocates at most."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def composed(x: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return residual + F.dropout(x + bias, P)


def fused(x: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return td.dropout_add(x, residual, P, bias=bias)


def plain(x: torch.Tensor) -> torch.Tensor:
    return F.dropout(x, P)


def ours(x: torch.Tensor) -> torch.Tensor:
    return td.dropout(x, P)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one size")
    quick = parser.parse_args().quick
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}; {info.gather()['devices']}\n"
    )
    print("| what | dtype | rows x columns | who | us | of a copy | peak MiB |")
    print("|---|---|---|---|---|---|---|")
    for rows in (16384,) if quick else (16, 1024, 16384, 65536):
        for dtype in (torch.float32, torch.bfloat16):
            x = torch.randn(rows, 1024, device="cuda").to(dtype)
            sums = [x, torch.randn_like(x), x[0].clone()]
            into = torch.empty_like(x)
            copy = seconds(lambda x=x, into=into: into.copy_(x))
            tasks = {
                "dropout": ([x], ours, plain),
                "dropout_add with a bias": (sums, fused, composed),
            }
            for name, (inputs, own, other) in tasks.items():
                for who, function in (
                    ("torchdropout", own),
                    ("torch", other),
                    ("torch.compile", torch.compile(other)),
                ):
                    forward = lambda f=function, i=inputs: f(*i)  # noqa: E731
                    both = with_backward(function, inputs)
                    for what, call in ((name, forward), (f"{name}, with backward", both)):
                        took = seconds(call)
                        print(
                            f"| {what} | {str(dtype)[6:]} | {rows} x 1024 | {who} | "
                            f"{took * 1e6:.1f} | {copy / took:.2f} | {peak(call) / 2**20:.1f} |"
                        )
    attention((4096,) if quick else (512, 2048, 8192))
    assert devices.failed == {}, devices.failed


def attention(lengths: tuple[int, ...]) -> None:
    """Causal attention with dropout next to torch's, whose flash kernel rounds p to 1/256."""
    print("\n| attention | dtype | heads x length x features | who | us | peak MiB |")
    print("|---|---|---|---|---|---|")
    for length in lengths:
        for features, dtype in ((64, torch.bfloat16), (128, torch.bfloat16), (64, torch.float32)):
            shape = (2, 16, length, features)
            inputs = [torch.randn(shape, device="cuda").to(dtype) for _ in range(3)]
            for who, function in (
                ("torchdropout", td.scaled_dot_product_attention),
                ("torch", F.scaled_dot_product_attention),
            ):

                def run(*qkv: torch.Tensor, f: Callable[..., torch.Tensor] = function):
                    return f(*qkv, None, P, True)

                both = with_backward(run, inputs)
                for what, call in (
                    ("forward", lambda run=run, inputs=inputs: run(*inputs)),
                    ("with backward", both),
                ):
                    print(
                        f"| {what} | {str(dtype)[6:]} | 16 x {length} x {features} | {who} | "
                        f"{seconds(call) * 1e6:.1f} | {peak(call) / 2**20:.1f} |"
                    )


if __name__ == "__main__":
    main()
