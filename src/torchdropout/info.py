"""What runs here: for a bug report, or to see whether the compiled kernels do."""

from __future__ import annotations

import platform

import torch

from . import _torch, backends
from ._version import __version__


def gather() -> dict[str, str]:
    """Version, torch, backend and why, backends that can run, threads: each as text.

    `missing` lists the private names that this version of torch does not have, and for each what
    happens without it.

    Example:
        >>> sorted(gather())
        ['backend', 'backends', 'missing', 'python', 'threads', 'torch', 'torchdropout', 'why']
    """
    lacking = [f"{name}: {name.without}" for name in _torch.missing]
    return {
        "torchdropout": __version__,
        "torch": torch.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "backend": backends.current(),
        "why": backends.why(),
        "backends": ", ".join(backends.available()),
        "missing": "; ".join(lacking) or "no name of torch",
        "threads": str(torch.get_num_threads()),
    }


def text() -> str:
    """The same, a line each."""
    found = gather()
    width = max(map(len, found))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in found.items())
