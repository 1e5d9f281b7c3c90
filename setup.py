"""Build the compiled kernels. Without them the package still installs and works, and says why."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PYTHON = "0x030A0000"  # the stable ABI of Python 3.10
TORCH = "0x020a000000000000"  # the stable ABI of torch 2.10
VERSION = re.search(r'"(.+)"', Path("src/torchdropout/_version.py").read_text().split("=")[1])[1]

# What a file may assume of the processor. choice.cpp checks the same before it runs one.
INSTRUCTION_SETS = {
    "avx2": ["-mavx2", "-mf16c"],
    "avx512": ["-mavx2", "-mf16c", "-mbmi2", "-mfma"]
    + ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mprefer-vector-width=512"],
}
# A product and a sum are rounded one after the other: the contract has no fused operations.
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-g0"]


def instruction_set(stem: str, built_for: str) -> list[str]:
    """The flags that give `csrc/<stem>.cpp` its instructions when building for x86-64.

    Args:
        stem: The name of a file; without these flags it compiles to nothing.
        built_for: A platform, as `sysconfig.get_platform()` names it: "macosx-11.0-universal2".
    """
    flags = INSTRUCTION_SETS.get(stem, [])
    if built_for.startswith("macosx"):  # ARCHFLAGS may name several processors, or another one
        only_there = [part for flag in flags for part in ("-Xarch_x86_64", flag)]
        return [*only_there, "-Wno-unused-command-line-argument"]
    return flags if built_for.endswith(("x86_64", "amd64")) else []


def without() -> str | None:
    """Return why no extension should be built, or None."""
    if os.environ.get("TORCHDROPOUT_NO_EXTENSION", "0") not in ("", "0"):
        return "it was built with TORCHDROPOUT_NO_EXTENSION set"
    if os.name != "posix":
        return f"the kernels are not built on {platform.system()}"
    return None


class CompilerError(Exception):
    """A command failed; `said` is all that it printed."""

    def __init__(self, command: list[str], said: str) -> None:
        errors = [line for line in said.splitlines() if re.search(r"\berror\b|undefined", line)]
        first = next(iter(errors or said.splitlines()), "it said nothing").strip()
        super().__init__(f"{Path(command[0]).name} said: {first}")
        self.said = f"{' '.join(command)}\n{said}"


def run_command(command: list[str], **_: object) -> None:
    """Run a compiler for distutils, and keep its output for the note."""
    command = [str(part) for part in command]
    # Whatever the language of the system, error messages must contain "error".
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    except OSError as error:
        raise CompilerError(command, str(error)) from None
    print(done.stdout + done.stderr, end="")
    if done.returncode != 0:
        raise CompilerError(command, done.stderr + done.stdout)


class BuildKernels(build_ext):
    """Compile each file for its instruction set; a failure is noted and not fatal."""

    def run(self) -> None:
        super().run()
        if self.inplace or self.editable_mode:
            self.copy_file(self._note(), "src/torchdropout/_no_extension.txt")

    def build_extension(self, ext: Extension) -> None:
        reason, said = without(), ""
        if reason is None:
            try:
                self._compile_and_link(ext)
            except CompilerError as error:
                reason, said = f"it could not be compiled: {error}", error.said
            except Exception as error:  # whatever is wrong with torch's headers or libraries
                reason = f"it could not be compiled: {type(error).__name__}: {error}"
        if reason is not None:
            print(f"torchdropout: no compiled kernels, {reason}")
        # The first line is the reason; `kernels.cpu` says where the rest is.
        note = self._note()
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text("\n\n".join(filter(None, (reason, said))))
        if reason is not None:
            target = Path(self.get_ext_fullpath(ext.name))
            target.unlink(missing_ok=True)

    def get_outputs(self) -> list[str]:
        built = [path for path in super().get_outputs() if Path(path).exists()]
        return [*built, str(self._note())]

    def _note(self) -> Path:
        return Path(self.build_lib, "torchdropout", "_no_extension.txt")

    def _compile_and_link(self, ext: Extension) -> None:
        from torch.utils.cpp_extension import include_paths, library_paths

        # Newer versions of setuptools run commands by the one, older ones by the other.
        self.compiler.call = self.compiler.spawn = run_command
        objects = Path(self.build_temp)
        objects.mkdir(parents=True, exist_ok=True)

        def compiled(source: str) -> str:
            name = Path(source).stem
            flags = instruction_set(name, self.plat_name)
            macros = []
            if name in ("register", "module"):
                macros = [("Py_LIMITED_API", PYTHON), ("TORCH_TARGET_VERSION", TORCH)]
                macros += [("TORCHDROPOUT_VERSION", f'"{VERSION}"')]
            (result,) = self.compiler.compile(
                [source],
                output_dir=str(objects),
                macros=macros,
                include_dirs=[*include_paths(), *self.include_dirs],
                extra_postargs=[*FLAGS, *flags],
                depends=ext.depends,
            )
            return result

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            compiled_files = list(pool.map(compiled, ext.sources))
        self.compiler.link_shared_object(
            compiled_files,
            self.get_ext_fullpath(ext.name),
            libraries=["c10", "torch", "torch_cpu"],
            library_dirs=library_paths(),
            target_lang="c++",
        )


setup(
    ext_modules=[
        Extension(
            "torchdropout._C",
            sources=sorted(str(path) for path in Path("csrc").glob("*.cpp")),
            depends=sorted(str(path) for path in Path("csrc").glob("*.h")),
            py_limited_api=True,
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernels},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
