"""What inductor makes of a compiled dropout for a GPU: run by `kernels/test_triton.py`.

    python tests/triton_inductor.py

Neither a GPU nor its driver need be there: the graphs are those of CPU tensors, for which a switch
of the library says "as on a GPU", and are moved to a GPU of which only the properties are known. It
prints one JSON object: by the name of a step, the facts of its forward and of its backward. Each is
the source of the Triton kernels and of the calls between them, and is not run.
"""

from __future__ import annotations

import copy
import json
from contextlib import ExitStack
from types import SimpleNamespace
from unittest import mock

import torch
import torch._inductor.scheduler
import triton
from functorch.compile import make_boxed_func, min_cut_rematerialization_partition
from torch._dynamo.backends.common import aot_autograd
from torch._functorch import config as gradient_config
from torch._inductor import config as inductor_config
from torch._inductor.compile_fx import compile_fx_inner
from torch._inductor.decomposition import select_decomp_table
from torch._inductor.graph import GraphLowering
from torch._inductor.utils import fresh_cache
from torch.fx.passes.fake_tensor_prop import FakeTensorProp

import torchdropout as td
import triton_compiled
from torchdropout import functional as F
from torchdropout._core.ops import _masked_affine

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
H100 = SimpleNamespace(
    name="NVIDIA H100",
    major=9,
    minor=0,
    multi_processor_count=132,
    total_memory=80 * 2**30,
    warp_size=32,
    max_threads_per_multi_processor=2048,
    max_threads_per_block=1024,
    regs_per_multiprocessor=65536,
    shared_memory_per_block_optin=232448,
    L2_cache_size=50 * 2**20,
    gcnArchName="",
)
KEY = td.Key(5)


def chain(x, residual):
    return F.dropout(torch.relu(x), 0.3, key=KEY) * 2 + residual


def pretending(sources):
    """The machine as if it had that card; what would be run is appended to a list."""
    known = {
        "_lazy_init": None,
        "_get_device_properties": H100,
        "device_count": 1,
        "get_device_capability": (9, 0),
        "_exchange_device": 0,
        "_maybe_exchange_device": 0,
    }
    stack = ExitStack()
    for name, value in known.items():
        replaced = mock.patch.object(torch.cuda, name, lambda *_, v=value: v, create=True)
        stack.enter_context(replaced)
    for name in (
        "torch._dynamo.device_interface.CudaInterface.is_bf16_supported",
        "torch._inductor.scheduler.has_triton",
    ):
        stack.enter_context(mock.patch(name, return_value=True))

    def save(source):
        sources.append(source)
        raise Written

    stack.enter_context(mock.patch.object(GraphLowering, "save_output_code", staticmethod(save)))
    return stack


class Written(Exception):
    """The source is there, and is not to be run."""


def source_for_gpu(graph, inputs):
    """The source of a graph of CPU tensors as if these lay on a GPU, except for keys."""
    moved = copy.deepcopy(graph)
    for node in moved.graph.nodes:
        if node.kwargs.get("device") == CPU:
            node.kwargs = {**node.kwargs, "device": GPU}
    sources = []
    with torch._guards.detect_fake_mode(inputs) as mode:
        there = [
            torch.empty_strided(
                x.shape,
                x.stride(),
                dtype=x.dtype,
                device=CPU if x.dtype == torch.int64 else GPU,
            )
            for x in inputs
        ]
        FakeTensorProp(moved, mode).propagate_dont_convert_inputs(*there)
        with pretending(sources):
            try:
                compile_fx_inner(moved, there)
            except Exception:
                if not sources:
                    raise
    return sources[0]


def facts(source):
    calls = source[source.index("def call(") :]
    return {
        "kernels": source.count("@triton.jit"),
        "launches": calls.count(".run("),
        "keep_bits": calls.count("= torch.ops.torchdropout.keep_bits."),
        "opaque": calls.count("= torch.ops.torchdropout.masked_affine."),
        "selects_bits": "bitcast=True" in source and "tl.where(" in source,
    }


def step(dtype, fuses):
    """The facts of the forward and of the backward of a dropout between neighbours."""
    found = []

    def compiler(graph, inputs):
        found.append(facts(source_for_gpu(graph, inputs)))
        return make_boxed_func(graph.forward)

    torch._dynamo.reset()
    backend = aot_autograd(
        fw_compiler=compiler,
        bw_compiler=compiler,
        decompositions=select_decomp_table(),
        partition_fn=min_cut_rematerialization_partition,
    )
    x = torch.ones(64, 48, dtype=dtype, requires_grad=True)
    with mock.patch.object(_masked_affine, "fusing", {"cpu"} if fuses else set()):
        y = torch.compile(chain, fullgraph=True, backend=backend)(x, torch.ones_like(x).detach())
        torch.autograd.grad(y.sum(), x)
    return found


def main():
    triton.runtime.driver.set_active(triton_compiled.Driver(triton_compiled.TARGETS["sm_90"]))
    settings = (
        gradient_config.patch(enable_autograd_cache=False),
        inductor_config.patch(fx_graph_cache=False, compile_threads=1),
        fresh_cache(),
    )
    with ExitStack() as stack:
        for setting in settings:
            stack.enter_context(setting)
        found = {
            "opaque": step(torch.float32, fuses=False),
            **{
                str(dtype).removeprefix("torch."): step(dtype, fuses=True)
                for dtype in (torch.float32, torch.bfloat16, torch.float16)
            },
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
