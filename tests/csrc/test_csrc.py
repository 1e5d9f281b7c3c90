"""The compiled kernels without torch or Python: tests/csrc/test_kernels.cpp, built and run."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CXX = os.environ.get("CXX", "g++")
CXX_AARCH64 = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        os.name != "posix" or shutil.which(CXX) is None, reason=f"needs {CXX} and a POSIX system"
    ),
]

# The sections of the program, and damages to what is under test that each has to notice.
SECTIONS = {
    "types": "types",
    "keep": "keep-bit keep-tail keep-overrun tie tie-or-equal block-carry seed-high stream-high",
    "runs": (
        "tie-in-run block-carry-in-run index-of-run bits-of-run in-place drop-value tail overrun "
        "streaming dropped-product dropped-sign fused"
    ),
    "guard": "bits-past-end read-past-end read-before-start",
    "rounding": "scale-ulp subnormal-to-zero ties-away",
    "nan": "nan-to-infinity",
    "sums": "sum-of-rounded sum-overwritten",
    "jobs": (
        "mask-stride mask-stride-high x-stride residual-stride bias-stride key-stride gap "
        "base-high lost-piece"
    ),
    "noise": (
        "noise-carry noise-stream noise-domain noise-word noise-ulp noise-tail noise-sign "
        "noise-addend noise-factor noise-overrun noise-key-stride noise-mask-stride noise-base"
    ),
    "blocks": "block-size plane-stride",
    "groups": "group-base places-base",
}
BREAKS = {damage: section for section, each in SECTIONS.items() for damage in each.split()}


needs_emulator = pytest.mark.skipif(
    not (shutil.which(CXX_AARCH64) and shutil.which(EMULATOR)),
    reason=f"needs {CXX_AARCH64} and {EMULATOR} (Debian: g++-aarch64-linux-gnu, qemu-user)",
)


def said_by(*command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, however it ends."""
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "check": False}
    return subprocess.run(command, env=env, **options)


def run_mode(
    mode: str, build: Path, *arguments: str, cxx: str = CXX
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BUILD": str(build), "PYTHON": sys.executable, "CXX": cxx}
    return said_by("bash", str(HERE / "run.sh"), mode, *arguments, env=environment)


def digest(cxx: str) -> str:
    """Return a digest of all that a build of the tests depends on."""
    compiler = subprocess.run([cxx, "--version"], capture_output=True, check=True).stdout
    found = hashlib.blake2b(repr((compiler, platform.machine())).encode(), digest_size=8)
    for path in [ROOT / "setup.py", *sorted(ROOT.glob("csrc/*")), *sorted(HERE.glob("*.*"))]:
        if path.name != Path(__file__).name and path.is_file():
            found.update(repr((path.name, path.read_bytes())).encode())
    return found.hexdigest()


def keep(build: Path, kept: Path) -> None:
    """Put a build where the next run of the tests finds it; those of other sources go."""
    kept.parent.mkdir(exist_ok=True)
    name = kept.name.rpartition("-")[0]
    for old in {*kept.parent.glob(f"{name}-*")} - {kept}:
        shutil.rmtree(old, ignore_errors=True)
    # Another process may do the same: a folder appears whole.
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        shutil.copytree(build, Path(folder) / "new")
        (Path(folder) / "new").rename(kept)


def built(
    mode: str, folder: Path, *arguments: str, cxx: str = CXX, run: tuple[str, ...] = ()
) -> tuple[Path, str]:
    """The folder of a build, and what its program said, with which `run` begins the command.

    To compile takes far longer than to run: a build is kept by the digest of its sources.
    """
    kept = ROOT / "build" / f"csrc-tests-{mode}-{digest(cxx)}"
    if kept.is_dir():
        done, build = said_by(*run, str(kept / "test_kernels"), *arguments), kept
    else:
        done, build = run_mode(mode, folder, *arguments, cxx=cxx), folder
    assert done.returncode == 0, done.stdout + done.stderr
    if build == folder:
        keep(build, kept)
    return build, done.stdout


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a build with the package's flags, and what all of its tests said."""
    return built("plain", tmp_path_factory.mktemp("csrc"))


def test_plain(plain: tuple[Path, str]) -> None:
    _, said = plain
    assert said.splitlines()[-1].startswith("OK: ")
    assert "kernels: scalar" in said


def notices(damage: str, *program: str) -> None:
    section = BREAKS[damage]
    done = said_by(*program, f"--break={damage}", f"--only={section}", "--thin=3")
    assert done.returncode in (1, 3), done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith((f"FAILED in {section}: ", f"CRASHED in {section}"))


@pytest.mark.parametrize("damage", BREAKS)
def test_damage_is_noticed(plain: tuple[Path, str], damage: str) -> None:
    build, _ = plain
    notices(damage, str(build / "test_kernels"))


def test_all_damages_are_listed(plain: tuple[Path, str]) -> None:
    build, _ = plain
    listed = said_by(str(build / "test_kernels"), "--list-breaks").stdout.split()
    assert sorted(listed) == sorted(BREAKS)


def test_no_function_is_shared_between_instruction_sets(plain: tuple[Path, str]) -> None:
    """A weak function compiled for AVX-512 could be what the linker gives the scalar kernels."""
    build, _ = plain
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("needs nm")
    for stem in ("avx2", "avx512"):
        symbols = said_by(nm, "-C", "--defined-only", str(build / f"{stem}.o")).stdout.splitlines()
        assert symbols
        weak = [line for line in symbols if line.split()[1] in ("W", "V", "u")]
        assert weak == [], f"{stem}.o"


@pytest.fixture(scope="module")
def aarch64(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """As `plain`, compiled for another processor and emulated: every 24th length, fewer jobs."""
    folder = tmp_path_factory.mktemp("aarch64")
    few = ("--thin=24", "--cases=1000")
    return built("aarch64", folder, *few, cxx=CXX_AARCH64, run=(EMULATOR,))


@needs_emulator
def test_aarch64(aarch64: tuple[Path, str]) -> None:
    _, said = aarch64
    assert said.startswith("kernels: scalar neon\n")
    assert said.splitlines()[-1].startswith("OK: ")


@pytest.mark.slow
@needs_emulator
def test_aarch64_at_full_length(aarch64: tuple[Path, str]) -> None:
    build, _ = aarch64
    done = said_by(EMULATOR, str(build / "test_kernels"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@needs_emulator
@pytest.mark.parametrize("damage", BREAKS)
def test_damage_is_noticed_on_aarch64(aarch64: tuple[Path, str], damage: str) -> None:
    build, _ = aarch64
    notices(damage, EMULATOR, str(build / "test_kernels"))


NEEDS = {
    "sanitize": True,
    "valgrind": shutil.which("valgrind"),
    "coverage": importlib.util.find_spec("gcovr"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", NEEDS)
def test_another_build(mode: str, tmp_path: Path) -> None:
    if not NEEDS[mode]:
        pytest.skip(f"nothing here for {mode}")
    done = run_mode(mode, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert mode != "coverage" or "TOTAL" in done.stdout
