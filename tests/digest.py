"""A digest of what each function and module computes, to compare two states of the library.

    python tests/digest.py [--count N] [NAME ...]

Prints a line for each entry of `variants.FUNCTIONS` and `variants.MODULES`: a SHA-256 of the bits,
the gradients and the state of the generator after some 20,000 calls in all. They are of every
dtype, with a key, a drawn key and a generator, with shared draws and a place, into `out`, in place,
with a gradient and in eval, by each backend. An error counts by its class. Another state is tried
with its `src` first in PYTHONPATH; `diff` shows what differs. The lines hold for one processor and
one version of torch: what rounds, such as attention, is torch's.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import itertools
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

import variants
from torchdropout import Key, backends

SOURCES = ("key", "drawn", "generator")
WAYS = ("plain", "shared", "placed", "transposed", "out", "inplace", "gradient", "eval")
KEYS = (Key(0), variants.KEY, Key(2**64 - 1, 2**60 - 1))
AMOUNTS = (0.4, 2.0**-20, 0.9)


def bits(tensor: torch.Tensor) -> bytes:
    """Shape, dtype, strides and all bits; any NaN counts as any other."""
    tensor = tensor.detach()
    text = f"{tuple(tensor.shape)} {tensor.dtype} {tensor.stride()}".encode()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    tensor = tensor.contiguous()
    if tensor.is_floating_point():
        tensor = torch.where(tensor.isnan(), torch.full((), torch.nan, dtype=tensor.dtype), tensor)
    return text + bytes(tensor.flatten().view(torch.uint8).tolist())


def leaves(result: Any) -> Iterator[torch.Tensor]:
    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, (tuple, list)):
        for part in result:
            yield from leaves(part)


def outcome(digest: Any, call: Callable[[], Any], inputs: list[torch.Tensor], g: Any) -> None:
    """Add a call to the digest: results, gradients of the inputs, inputs, generators."""
    torch.manual_seed(5)
    try:
        found = list(leaves(call()))
        wanted = [t for t in inputs if t.requires_grad]
        of = [y for y in found if y.requires_grad]
        if wanted and of:
            weights = [torch.linspace(-1, 2, y.numel()).view(y.shape).to(y.dtype) for y in of]
            found += [
                t
                for t in torch.autograd.grad(of, wanted, weights, allow_unused=True)
                if t is not None
            ]
    except Exception as error:
        digest.update(type(error).__name__.encode())
        found = []
    for tensor in [*found, *inputs]:
        digest.update(bits(tensor))
    digest.update(bits(torch.get_rng_state()))
    if g is not None:
        digest.update(bits(g.get_state()))


def options(v: variants.Function, way: str, tensors: list[torch.Tensor]) -> dict[str, Any] | None:
    """The further arguments of a call, or None where the function has no such way."""
    if way == "shared":
        return {"broadcast_dims": (0,)} if v.takes("broadcast_dims") else None
    if way == "placed":
        layout = v.layout()
        moved = type(layout)(2**33 - 5, tuple(3 * s for s in layout.strides))
        return {"layout": moved} if v.takes("layout") else None
    if way == "out":
        return {"out": torch.zeros_like(tensors[0])} if v.takes("out") else None
    if way == "inplace":
        return {"inplace": True} if v.takes("inplace") else None
    return {"training": way != "eval"}


def of_function(v: variants.Function, count: int) -> str:
    """A drawn choice of all ways to call it, the same in every run."""
    digest = hashlib.sha256()
    cases = [*itertools.product(range(len(KEYS)), backends.available(), v.dtypes, WAYS, SOURCES)]
    random.Random(0).shuffle(cases)
    for n, backend, dtype, way, source in itertools.islice(itertools.cycle(cases), count):
        tensors = v.tensors(dtype, grad=way == "gradient")
        if way == "transposed":
            tensors[0] = tensors[0].mT.contiguous().mT
        given = options(v, way, tensors)
        if given is None:
            continue
        g = torch.Generator().manual_seed(n) if source == "generator" else None
        given |= {"p": AMOUNTS[n]} if v.p is not None else {}
        given |= {} if g is None else {"generator": g}
        call = functools.partial(v, *tensors, key=KEYS[n] if source == "key" else None, **given)
        with backends.use(backend):
            outcome(digest, call, tensors, g)
    return digest.hexdigest()


def of_module(m: variants.Module) -> str:
    digest = hashlib.sha256()
    for p, backend, mode, grad in itertools.product(
        AMOUNTS, backends.available(), *[(True, False)] * 2
    ):
        module = m.built(p).train(mode)
        tensors = [t.requires_grad_(grad and t.is_floating_point()) for t in m.tensors()]
        with backends.use(backend):
            learned = module.parameters() if grad else ()
            outcome(digest, functools.partial(module, *tensors), [*tensors, *learned], None)
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    of_modules = 12 * len(backends.available()) * len(variants.MODULES)
    each = (given.count - of_modules) // len(variants.FUNCTIONS)
    for name, v in variants.FUNCTIONS.items():
        if not given.names or name in given.names:
            print(of_function(v, each), name, flush=True)
    for name, m in variants.MODULES.items():
        if not given.names or name in given.names:
            print(of_module(m), name, flush=True)


if __name__ == "__main__":
    main()
