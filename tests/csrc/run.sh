#!/usr/bin/env bash
# Builds the kernels without torch or Python, and tests them:
#
#   tests/csrc/run.sh [plain|sanitize|valgrind|coverage] [arguments of test_kernels ...]
#
# BUILD: where to build (build/csrc-<mode>), CXX: the compiler (g++), PYTHON: python3; `coverage`
# needs gcovr in that Python. The flags of each file are those of setup.py.
set -euo pipefail

mode=${1:-plain}
shift || true
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build/csrc-$mode}
cxx=${CXX:-g++}
python=${PYTHON:-python3}

case $mode in
plain) extra=() test_extra=(-O1) arguments=() ;;
sanitize)
  extra=(-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all)
  test_extra=() arguments=(--cases=6000 --thin=16)
  ;;
valgrind) extra=(-g) test_extra=() arguments=(--cases=600 --thin=64) ;;
coverage)
  # Without exceptions: what may throw counts as a branch otherwise.
  extra=(-O0 -g --coverage -fprofile-update=atomic -fno-exceptions)
  test_extra=() arguments=(--cases=15000 --thin=8)
  ;;
*)
  echo "no such mode: $mode" >&2
  exit 2
  ;;
esac

mkdir -p "$build"
find "$build" -name '*.gcda' -delete

# What sees torch or Python (register.cpp, module.cpp) is tested through the package, and what is for
# the loader (old_systems.cpp) by the wheel.
sources=()
for source in "$root"/csrc/*.cpp; do
  case $(basename "$source") in register.cpp | module.cpp | old_systems.cpp) ;; *) sources+=("$source") ;; esac
done

compile() {  # source, flags...
  local source=$1
  shift
  "$cxx" "$@" -Wall -Wextra -I"$root/csrc" -c "$source" \
    -o "$build/$(basename "$source" .cpp).o"
}

running=()
for source in "${sources[@]}"; do
  read -ra flags <<<"$("$python" "$here/flags.py" "$(basename "$source" .cpp)")"
  compile "$source" "${flags[@]}" "${extra[@]}" &
  running+=($!)
done
read -ra flags <<<"$("$python" "$here/flags.py" test_kernels)"
compile "$here/test_kernels.cpp" "${flags[@]}" "${extra[@]}" "${test_extra[@]}" &
running+=($!)
for job in "${running[@]}"; do wait "$job"; done
"$cxx" "${extra[@]}" -pthread "$build"/*.o -o "$build/test_kernels"

program=("$build/test_kernels" "${arguments[@]}" "$@")
case $mode in
valgrind) valgrind --error-exitcode=1 --leak-check=full --quiet "${program[@]}" ;;
coverage)
  "${program[@]}"
  for metric in line branch; do
    "$python" -m gcovr --root "$root" --filter "$root/csrc/" --object-directory "$build" \
      --merge-lines --exclude-throw-branches --exclude-unreachable-branches \
      --txt-metric $metric --txt - "$build"
  done
  ;;
*) "${program[@]}" ;;
esac
