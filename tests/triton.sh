#!/usr/bin/env bash
# Runs the tests of Triton's kernels without a GPU, in a separate environment: `make test-triton`
# calls it.
#
#   tests/triton.sh TORCH TRITON [ARGUMENT OF PYTEST ...]
#
# TORCH and TRITON: versions, or `newest`. Torch's build for the CPU does: the interpreter runs on CPU
# tensors, and the compiler for GPUs comes with Triton.
# PYTHON: the interpreter of the environment (python3). BUILD: the folder for it.
set -euo pipefail
versions=(torch triton)
[ "$1" = newest ] || versions[0]=torch==$1
[ "$2" = newest ] || versions[1]=triton==$2
name=$1-$2
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD:-build/triton-$name}
# The named versions are used even if pip's configuration constrains them.
export PIP_CONSTRAINT=/dev/null

own=$build/venv/bin/python
test -x "$own" || "${PYTHON:-python3}" -m venv "$build/venv"
"$own" -c 'import torch' 2>/dev/null ||
  "$own" -m pip install --quiet --retries 0 --index-url https://download.pytorch.org/whl/cpu "${versions[0]}" ||
  "$own" -m pip install --quiet "${versions[0]}"  # where that index cannot be reached
"$own" -m pip install --quiet "${versions[1]}" hypothesis numpy pytest pytest-timeout pytest-xdist scipy
# The sources as they are: the kernels for CPU tensors are not needed.
export PYTHONPATH=src:packages/audit/src TORCHDROPOUT_BACKEND=reference OMP_NUM_THREADS=1
"$own" -c 'import torch, triton; print("torch", torch.__version__, "Triton", triton.__version__)'
[ $# -gt 0 ] || set -- -m "not slow"
# What one process compiles for a GPU, another would compile again.
"$own" -m pytest -n auto --dist loadgroup "$@" tests/_core/kernels/test_triton.py
