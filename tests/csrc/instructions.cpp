// One piece of work by one of the kernels, for instructions.sh to count instructions of:
//
//   instructions KERNELS WORK ELEMENTS
//
// ELEMENTS is up to 16384; everything else that it does is independent of that number.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "choice.h"
#include "kernels.h"
#include "types.h"

using namespace torchdropout;

namespace {

constexpr int64_t kMost = 16384;
const IndexedMask kMask = {{0x0123456789ABCDEF, 42}, Threshold::of(0.1), 0};
const Affine kAffine = {1 / 0.9, 0.0, 0.0};

alignas(64) float x[kMost], y[kMost];
alignas(64) BFloat16 x16[kMost], y16[kMost];
uint64_t bits[kMost / kGroup];

void normal_noise(const Kernels& kernels, int64_t n) {
  const RunNoise add = kernels.run_noise(DType::kFloat32);
  for (int64_t i = 0; i < n; i += kNoisePiece) {
    uint32_t words[kNoisePiece];
    float e[kNoisePiece];
    const int64_t here = std::min(kNoisePiece, n - i);
    kernels.noise_words(kMask.key, 2, static_cast<uint64_t>(i), here, words);
    kernels.noise(Law::kNormal, here, words, e);
    add({0.0, 0.1}, x + i, y + i, here, e);
  }
}

bool work(const Kernels& kernels, const std::string& what, int64_t n) {
  if (what == "float32") {
    const Runs runs = kernels.runs(Op::kScale, DType::kFloat32, DType::kFloat32);
    runs.indexed(kAffine, {x, y, nullptr, nullptr, nullptr}, n, kMask, false);
  } else if (what == "bfloat16") {
    const Runs runs = kernels.runs(Op::kScale, DType::kBFloat16, DType::kBFloat16);
    runs.indexed(kAffine, {x16, y16, nullptr, nullptr, nullptr}, n, kMask, false);
  } else if (what == "keep_bits") {
    kernels.keep_bits(kMask, n, bits);
  } else if (what == "normal_noise") {
    normal_noise(kernels, n);
  } else {
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  std::fill_n(x, kMost, 1.5f);
  std::fill_n(x16, kMost, BFloat16{0x3FC0});
  for (const Kernels* kernels : usable_kernels()) {
    if (kernels->name == std::string(argv[1])) {
      return work(*kernels, argv[2], std::min<int64_t>(std::atoll(argv[3]), kMost)) ? 0 : 2;
    }
  }
  std::fprintf(stderr, "%s: %s\n", argv[1], lacking(argv[1]).c_str());
  return 2;
}
