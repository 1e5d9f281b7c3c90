"""What runs here: for a bug report, or to see whether the compiled kernels do."""

from __future__ import annotations

import platform

import torch

from . import backends
from ._version import __version__


def gather() -> dict[str, str]:
    """Version, torch, backend and why, backends that can run, threads: each as text.

    Example:
        >>> sorted(gather())
        ['backend', 'backends', 'python', 'threads', 'torch', 'torchdropout', 'why']
    """
    return {
        "torchdropout": __version__,
        "torch": torch.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "backend": backends.current(),
        "why": backends.why(),
        "backends": ", ".join(backends.available()),
        "threads": str(torch.get_num_threads()),
    }


def text() -> str:
    """The same, a line each."""
    found = gather()
    width = max(map(len, found))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in found.items())
