#!/usr/bin/env bash
# Builds the source distribution and from it a wheel, installs the wheel where nothing else is, and
# sees the compiled kernels run; then the same from source without an extension, and without a
# compiler, where the package must work all the same and say why.
# PYTHON: an interpreter with torch, setuptools and build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$(cd "$(dirname "$PYTHON")" && pwd)/$(basename "$PYTHON")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m build --sdist --no-isolation --outdir "$work" . >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
sdist=$(ls "$work"/torchdropout-*.tar.gz)
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work" "$sdist"
wheel=$(ls "$work"/torchdropout-*.whl)
case "$wheel" in *cp310-abi3-*) ;; *) echo "expected one wheel for Python 3.10 on, got $wheel"; exit 1 ;; esac

"$python" -m venv "$work/clean"
cd "$work"  # away from the sources: what is installed is what is tested
clean=$work/clean/bin/python
"$clean" -m pip install --quiet "$wheel"
"$clean" -W error::RuntimeWarning -c '
import torch, torchdropout as td
assert "site-packages" in td.__file__, td.__file__
assert td.backends.current() != "reference", td.backends.why()
with td.backends.use("reference"):
    expected = td.functional.dropout(torch.ones(100_000), 0.1, key=td.Key(7))
assert torch.equal(td.functional.dropout(torch.ones(100_000), 0.1, key=td.Key(7)), expected)
'
"$clean" -m torchdropout info

"$clean" -m pip install --quiet "setuptools>=77" wheel
without() {  # without REASON VARIABLE=VALUE...: an installation that must say REASON
  local reason=$1
  shift
  env "$@" "$clean" -m pip install --quiet --no-deps --no-build-isolation --force-reinstall "$sdist"
  "$clean" -W ignore -c '
import sys, torch, torchdropout as td
assert td.backends.available() == ("reference",), td.backends.available()
assert sys.argv[1] in td.backends.why(), td.backends.why()
assert bool((td.functional.dropout(torch.ones(1000), 0.5) != 1).all())
' "$reason"
  "$clean" -W ignore -m torchdropout info | grep why
}
without "TORCHDROPOUT_NO_EXTENSION" TORCHDROPOUT_NO_EXTENSION=1
without "could not be compiled" CC=/nowhere/cc CXX=/nowhere/c++
