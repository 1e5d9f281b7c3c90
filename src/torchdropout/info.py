"""What runs on this machine: for a bug report, or to see whether the compiled kernels are used."""

from __future__ import annotations

import platform

import torch

from . import _torch, backends
from ._version import __version__
from .kernels.devices import serving


def gather() -> dict[str, str]:
    """Version, torch, Python, backend and why it runs, available backends, threads: each as text.

    `devices` says which kernels serve which devices, and why where it is the reference. `missing`
    lists the private names of torch that this version does not have, with what happens without
    each.

    Example:
        >>> sorted(gather())[:4]
        ['backend', 'backends', 'devices', 'missing']
        >>> sorted(gather())[4:]
        ['python', 'threads', 'torch', 'torchdropout', 'why']
    """
    lacking = [f"{name}: {name.without}" for name in _torch.missing]
    return {
        "torchdropout": __version__,
        "torch": torch.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "backend": backends.current(),
        "why": backends.why(),
        "backends": ", ".join(backends.available()),
        "devices": serving(),
        "missing": "; ".join(lacking) or "no private name of torch",
        "threads": str(torch.get_num_threads()),
    }


def text() -> str:
    """The result of `gather` as text, one line for each entry."""
    found = gather()
    width = max(map(len, found))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in found.items())
