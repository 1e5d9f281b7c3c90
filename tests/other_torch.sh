#!/usr/bin/env bash
# Runs the tests on another torch: in a copy of these sources, built with that torch, in a separate
# environment. `make test-torch` calls it.
#
#   tests/other_torch.sh TORCH [ARGUMENT OF PYTEST ...]
#
# TORCH: a version, or `newest`. Without arguments the quick and the integration tests run.
# PYTHON: the interpreter of the environment (python3). BUILD: the folder for everything that is made
# (build/torch-TORCH-PYTHON). WHEEL: a wheel that another torch may have built; it is installed
# first, must load its kernels, and must give the known answers.
# ONLY: `setup` ends before the tests, `tests` uses an existing set-up.
set -euo pipefail
version=$1
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3}
build=${BUILD:-$root/build/torch-$version-$(basename "$python")}
case $version in newest) torch=torch ;; *) torch=torch==$version ;; esac
# The named version is used even if pip's configuration constrains it.
export PIP_CONSTRAINT=/dev/null

own=$build/venv/bin/python
set_up() {
  test -x "$own" || "$python" -m venv "$build/venv"
  "$own" -m pip install --quiet "$torch" "setuptools>=77" wheel
  if [ -n "${WHEEL:-}" ]; then
    "$own" -m pip install --quiet --force-reinstall --no-deps "$WHEEL"
    (cd "$build" && "$own" -W error::RuntimeWarning "$root/tests/installed.py")
  fi
  # Use a copy, since an editable installation compiles into the sources.
  rm -rf "$build/sources"
  mkdir -p "$build/sources"
  (cd "$root" && git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do [ ! -f "$file" ] && [ ! -L "$file" ] || printf '%s\0' "$file"; done |
    tar --create --null --files-from - | tar --extract --directory "$build/sources")
  # No build isolation, in which pip would compile with the newest torch. Torch stays as it is.
  "$own" -m pip install --quiet --no-build-isolation --editable "$build/sources[dev]" \
    --editable "$build/sources/packages/audit[lsp]" "$torch"
}
[ "${ONLY:-}" = tests ] || set_up
[ "${ONLY:-}" != setup ] || exit 0

cd "$build/sources"
"$own" -m torchdropout info
"$own" -c 'from torchdropout import backends; assert len(backends.available()) > 1, backends.why()'
if [ $# -eq 0 ]; then
  set -- -m "not slow and not peers"
fi
OMP_NUM_THREADS=1 "$own" -m pytest -n auto "$@"
