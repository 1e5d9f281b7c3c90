#!/usr/bin/env bash
# Builds the kernels without torch or Python, and tests them:
#
#   tests/csrc/run.sh [plain|sanitize|valgrind|coverage|aarch64] [arguments of test_kernels ...]
#
# BUILD: where to build (build/csrc-<mode>), CXX: the compiler (g++), PYTHON: python3; `coverage`
# needs gcovr in that Python. The flags of each file are those of setup.py.
#
# `aarch64` cross-compiles for that processor (CXX: aarch64-linux-gnu-g++) and runs the
# program in an emulator (EMULATOR: qemu-aarch64). Debian has both as g++-aarch64-linux-gnu and
# qemu-user. CXX="clang++ --target=aarch64-linux-gnu" uses headers and libraries from there too.
set -euo pipefail

mode=${1:-plain}
shift || true
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build/csrc-$mode}
case $mode in
aarch64)
  read -ra cxx <<<"${CXX:-aarch64-linux-gnu-g++}"
  platform=(linux-aarch64) emulator=("${EMULATOR:-qemu-aarch64}")
  ;;
*)
  read -ra cxx <<<"${CXX:-g++}"
  platform=() emulator=()
  ;;
esac
python=${PYTHON:-python3}

case $mode in
plain) extra=() test_extra=(-O1) arguments=() ;;
sanitize)
  extra=(-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all)
  test_extra=() arguments=(--cases=6000 --thin=16)
  ;;
valgrind) extra=(-g) test_extra=() arguments=(--cases=600 --thin=64) ;;
coverage)
  # Without exceptions, because calls that may throw count as branches otherwise.
  extra=(-O0 -g --coverage -fprofile-update=atomic -fno-exceptions)
  test_extra=() arguments=(--cases=15000 --thin=8)
  ;;
aarch64) extra=(-static) test_extra=(-O1) arguments=() ;;  # static: the emulator needs no libraries
*)
  echo "no such mode: $mode" >&2
  exit 2
  ;;
esac

mkdir -p "$build"
find "$build" -name '*.gcda' -delete

# Files that see torch or Python (register.cpp, module.cpp) are tested through the package, and the
# file for the loader (old_systems.cpp) by the wheel.
sources=()
for source in "$root"/csrc/*.cpp; do
  case $(basename "$source") in register.cpp | module.cpp | old_systems.cpp) ;; *) sources+=("$source") ;; esac
done

compile() {  # source, flags...
  local source=$1
  shift
  "${cxx[@]}" "$@" -Wall -Wextra -I"$root/csrc" -c "$source" \
    -o "$build/$(basename "$source" .cpp).o"
}

running=()
for source in "${sources[@]}"; do
  read -ra flags <<<"$("$python" "$here/flags.py" "$(basename "$source" .cpp)" "${platform[@]}")"
  compile "$source" "${flags[@]}" "${extra[@]}" &
  running+=($!)
done
read -ra flags <<<"$("$python" "$here/flags.py" test_kernels "${platform[@]}")"
compile "$here/test_kernels.cpp" "${flags[@]}" "${extra[@]}" "${test_extra[@]}" &
running+=($!)
for job in "${running[@]}"; do wait "$job"; done
"${cxx[@]}" "${extra[@]}" -pthread "$build"/*.o -o "$build/test_kernels"

program=("${emulator[@]}" "$build/test_kernels" "${arguments[@]}" "$@")
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
