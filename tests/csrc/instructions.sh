#!/usr/bin/env bash
# Counts the instructions per element of instructions.cpp in an emulator: an exact figure that
# depends on the compiler alone, and is not a time.
#
#   tests/csrc/instructions.sh [aarch64|x86_64]
#
# CXX: the compiler (aarch64-linux-gnu-g++ or g++), PYTHON: python3. Each count is that of a run over
# 16384 elements minus one over 8192. The emulator, from Debian's qemu-user, has no AVX-512.
set -euo pipefail

processor=${1:-aarch64}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
case $processor in
aarch64) default=aarch64-linux-gnu-g++ kernels=(scalar neon) emulator=(qemu-aarch64) ;;
x86_64) default=g++ kernels=(scalar avx2) emulator=(qemu-x86_64 -cpu max) ;;
*)
  echo "no such processor: $processor" >&2
  exit 2
  ;;
esac
read -ra cxx <<<"${CXX:-$default}"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

for stem in scalar neon avx2 avx512 choice; do
  read -ra flags <<<"$("${PYTHON:-python3}" "$here/flags.py" "$stem" "linux-$processor")"
  "${cxx[@]}" "${flags[@]}" -c "$root/csrc/$stem.cpp" -o "$build/$stem.o"
done
"${cxx[@]}" -std=c++17 -O1 -I"$root/csrc" -static "$here/instructions.cpp" "$build"/*.o \
  -o "$build/instructions"

# The emulator logs every block that it runs, and a block is one instruction.
instructions() {
  "${emulator[@]}" -one-insn-per-tb -d exec,nochain -D /dev/stdout "$build/instructions" "$@" |
    grep -c ^Trace
}

printf '%-14s' ""
printf '%8s' "${kernels[@]}"
printf '\n'
for work in float32 bfloat16 keep_bits normal_noise; do
  printf '%-14s' "$work"
  for one in "${kernels[@]}"; do
    few=$(instructions "$one" "$work" 08192)
    many=$(instructions "$one" "$work" 16384)
    awk "BEGIN { printf \"%8.1f\", ($many - $few) / 8192 }"
  done
  printf '\n'
done
