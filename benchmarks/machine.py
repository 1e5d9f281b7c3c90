"""A record of the machine that a measurement was made on, for JSON."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

import torchdropout as td
from torchdropout import backends
from torchdropout._tools import info

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
VARIABLES = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "OMP_", "GOMP_", "KMP_", "TORCHDROPOUT_")


def record() -> dict[str, Any]:
    """The machine, the versions and the settings of this process."""
    return {
        "cpu": info.processor(),
        "cores": os.cpu_count(),
        "caches": info.caches(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.platform(),
        "huge_pages": _read(HUGE_PAGES),
        "backend": backends.current(),
        "backends": list(backends.available()),
        "torchdropout": td.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith(VARIABLES)},
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def describe(machine: dict[str, Any]) -> str:
    """A record as one line of text."""
    caches = ", ".join(f"{name} {size}" for name, size in machine["caches"].items())
    system = machine["system"].partition("-")[0]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {caches or 'caches unknown'}; "
        f"{system}; torch {machine['torch']}, Python {machine['python']}; "
        f"backend {machine['backend']}; {machine['date'][:10]}"
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
