"""Keep bits alone, 64 to a word, by the function of the kernels that makes them; and `keep_mask`.

No operator returns what that function makes on a CPU: dropout uses each word where it is made. So
this compiles the file of csrc/ with the current kernels once more, for itself, with the flags of
setup.py. It needs the compiler that the package was built with, or the one that CXX names.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import harness
import torch
from harness import Candidate, Case

import torchdropout as td
from torchdropout import backends

ROOT = Path(__file__).parent.parent
ALONE, MASK = "keep bits", "keep_mask"


def source() -> Path:
    """The file with the current kernels; it does not exist for the reference."""
    return ROOT / "csrc" / f"{backends.current()}.cpp"


@cache
def keep_bits(file: Path) -> Any:
    """The compiled function: seed, p, number of elements, and the array for their words."""
    kernels = file.stem
    script = [sys.executable, str(ROOT / "tests" / "csrc" / "flags.py"), kernels]
    flags = subprocess.run(script, check=True, capture_output=True, text=True).stdout.split()
    flags += ["-fPIC", "-shared", f"-DKERNELS=k{kernels.capitalize()}Kernels", f"-I{file.parent}"]
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "bits.so"
        sources = [str(file), str(Path(__file__).with_suffix(".cpp"))]
        compiler = os.environ.get("CXX", "g++").split()
        subprocess.run([*compiler, *flags, *sources, "-o", str(library)], check=True)
        function = ctypes.CDLL(str(library)).keep_bits
    function.argtypes = (ctypes.c_uint64, ctypes.c_double, ctypes.c_int64, ctypes.c_void_p)
    function.restype = None
    return function


def candidates(case: Case) -> dict[str, Candidate]:
    (n,) = case.shape
    key = td.Key(harness.SEED)
    mask = partial(td.keep_mask, case.shape, case.p, key=key)
    if not source().exists():
        return {MASK: Candidate(mask)}
    words = (ctypes.c_uint64 * (n // 64))()
    alone = partial(keep_bits(source()), key.seed, case.p, n, words)
    alone()
    few = torch.frombuffer(words, dtype=torch.int64, count=1024)
    made = (few.unsqueeze(-1) >> torch.arange(64)) & 1 != 0
    if not torch.equal(made.flatten(), mask()[: made.numel()]):
        raise RuntimeError("the bits of the kernel alone are not those of keep_mask")
    return {ALONE: Candidate(alone), MASK: Candidate(mask)}


BASE = Case("keep bits", candidates, (2**20,), torch.bool)
SIZES = (2**20, 2**26)


def cases(quick: bool) -> list[Case]:
    return [replace(BASE, shape=(n,)) for n in ((2**16,) if quick else SIZES)]


if __name__ == "__main__":
    harness.main(__file__, __doc__, cases)
