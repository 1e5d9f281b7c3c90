"""What runs on this machine: for a bug report, or to see whether the compiled kernels are used."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from .._core import _torch, backends
from .._core.kernels.devices import serving
from .._version import __version__

_CPUINFO = Path("/proc/cpuinfo")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_NUMBERS = {"family": "cpu family", "model": "model"}


def processor() -> str:
    """The name of the processor; on Linux with its family and model, as models may share a name."""
    known: dict[str, str] = {}
    for line in _read(_CPUINFO).splitlines():
        name, _, value = line.partition(":")
        known.setdefault(name.strip(), value.strip())
    name = known.get("model name") or platform.processor() or "unknown processor"
    numbers = [f"{what} {known[key]}" for what, key in _NUMBERS.items() if key in known]
    return ", ".join([name, *numbers])


def caches() -> dict[str, str]:
    """The sizes of L2 and L3 of a core, as Linux reports them: `{"L2": "1024K"}`."""
    found = {}
    for folder in sorted(_CACHES.glob("index*")):
        level, size = _read(folder / "level"), _read(folder / "size")
        if level in ("2", "3") and size:
            found[f"L{level}"] = size
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def gather() -> dict[str, str]:
    """What a report needs to know about this machine, each item as text.

    The version, torch, Python, the processor with its caches, the backend and why it runs, the
    available backends and the number of threads.

    `devices` says which kernels serve which devices, and, for the reference, why. `missing`
    lists the private names of torch that this version does not have, with what happens without
    each.

    Example:
        >>> sorted(gather())[:4]
        ['backend', 'backends', 'devices', 'missing']
        >>> sorted(gather())[4:]
        ['processor', 'python', 'threads', 'torch', 'torchdropout', 'why']
    """
    lacking = [f"{name}: {name.without}" for name in _torch.missing]
    return {
        "torchdropout": __version__,
        "torch": torch.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "processor": ", ".join([processor(), *(f"{k} {v}" for k, v in caches().items())]),
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
