"""What an output costs in pages that are not mapped yet, and what helps.

Each row is a process of its own, since the allocator reads its settings when it starts. A call's
output is freed before the next call.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import harness
import machine
import torch
import torch.nn.functional as F

import torchdropout.functional as td

SETTINGS: dict[str, dict[str, str]] = {
    "the defaults": {},
    "MALLOC_MMAP_MAX_=0, MALLOC_TRIM_THRESHOLD_=2^34": harness.WARM,
    "THP_MEM_ALLOC_ENABLE=1": {"THP_MEM_ALLOC_ENABLE": "1"},
}
SIZES = (2**22, 2**26)
P = 0.1


def calls(n: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    x = torch.randn(n)
    into = torch.empty_like(x)
    own = x.clone()
    return {
        "`x.clone()`": x.clone,
        "`F.dropout`": lambda: F.dropout(x, P),
        "`dropout`": lambda: td.dropout(x, P),
        "`dropout`, `out=`": lambda: td.dropout(x, P, out=into),
        "`dropout`, `inplace=True`": lambda: td.dropout(own, P, inplace=True),
    }


def measure(rounds: int) -> dict[str, dict[str, tuple[float, float]]]:
    """Nanoseconds and page faults an element, by size and name: medians of alternating calls."""
    torch.set_num_threads(1)
    found = {}
    for n in SIZES:
        functions = calls(n)
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
        for _ in range(rounds + 1):
            for name, function in functions.items():
                faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
                start = time.perf_counter()
                function()
                seconds = time.perf_counter() - start
                faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
                samples[name].append((seconds / n * 1e9, faults / n))
        found[str(n)] = {
            name: (
                statistics.median(ns for ns, _ in times[1:]),
                statistics.median(faults for _, faults in times[1:]),
            )
            for name, times in samples.items()
        }
    return found


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--child", action="store_true", help="only this process, as JSON")
    options = harness.parse(__file__, parser)
    rounds = 3 if options.quick else 11
    if options.child:
        print(json.dumps(measure(rounds)))
        return
    kept = {name: value for name, value in os.environ.items() if name not in harness.WARM}
    flags = ["--quick"] * options.quick + ["--backend", options.backend] * bool(options.backend)
    found = {}
    for setting, variables in SETTINGS.items():
        command = [sys.executable, __file__, "--child", *flags]
        done = subprocess.run(command, env=kept | variables, check=True, capture_output=True)
        found[setting] = json.loads(done.stdout)
    names = list(next(iter(found.values()))[str(SIZES[0])])
    for n in SIZES:
        print(f"\nfloat32, {n * 4 // 2**20} MiB, one thread: ns an element (page faults a MiB)\n")
        print("| setting |", " | ".join(names), "|")
        print("| --- |", " | ".join("---" for _ in names), "|")
        for setting, sizes in found.items():
            row = (f"{ns:.2f} ({faults * 2**18:.3g})" for ns, faults in sizes[str(n)].values())
            print(f"| {setting} |", " | ".join(row), "|")
    harness.write(options.out, {"machine": machine.record(), "results": found})


if __name__ == "__main__":
    main()
