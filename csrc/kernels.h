// The interface of the kernels: one table of functions for each instruction set.
#pragma once

#include <cstdint>

#include "keep.h"
#include "noise.h"

namespace torchdropout {

constexpr int kGroup = 64;  // elements whose keep bits fill a word

enum class DType { kFloat32, kFloat64, kFloat16, kBFloat16 };

// What happens to an element, in the compute type; each arrow rounds.
enum class Op {
  kScale,    // y = keep ? x * scale : drop_value
  kShift,    // y = keep ? x * scale -> + shift : drop_value
  kAdd,      // y = residual + (keep ? x * scale -> : 0)
  kAddBias,  // y = residual + (keep ? (x + bias ->) * scale -> : 0)
  kSum,      // y = keep ? x * scale : 0, and sums += y before it is rounded to its type
};

struct Affine {
  double scale;
  double shift;
  double drop_value;
};

// First elements of a run: elements that are adjacent in memory in every operand.
// y and residual have one type, bias and sums the compute type; operands that an Op does not use
// are not read. y may be x.
struct Operands {
  const void* x;
  void* y;
  const void* residual;
  const void* bias;
  void* sums;
};

// The mask of a run by mask index: element i has index `index + i`. Threshold::high <= 65535.
struct IndexedMask {
  Key key;
  Threshold threshold;
  uint64_t index;
};

// `streaming`: y is large and mapped; write it bypassing the caches.
using RunIndexed = void (*)(const Affine&, const Operands&, int64_t n, const IndexedMask&,
                            bool streaming);
// The same with keep bits already computed: bit i % 64 of word i / 64 is that of element i.
using RunBits = void (*)(const Affine&, const Operands&, int64_t n, const uint64_t* bits,
                         bool streaming);

struct Runs {
  RunIndexed indexed;
  RunBits bits;
};

// y = x * (1 + factor * e) + addend * e, with a noise number e for each element: every operation is
// rounded to the compute type; a part whose constant is 0 is left out.
struct NoiseAffine {
  double factor;
  double addend;
};

// Numbers that are computed together: whole batches of every instruction set's words.
constexpr int64_t kNoisePiece = 768;

// A run of up to kNoisePiece elements. y may be x.
using RunNoise = void (*)(const NoiseAffine&, const void* x, void* y, int64_t n, const float* e);

struct Kernels {
  const char* name;
  // By the types of x and y; {nullptr, nullptr} if there is none.
  Runs (*runs)(Op, DType x, DType y);
  // Keep bits of n elements from mask.index on, as `RunBits` reads them; bits past n are arbitrary.
  void (*keep_bits)(const IndexedMask& mask, int64_t n, uint64_t* bits);

  // For up to kNoisePiece indices from `index` on. Words and numbers have room for kNoisePiece;
  // entries past n may be written, and be read, so they must be initialised.
  void (*noise_words)(const Key& key, uint32_t domain, uint64_t index, int64_t n, uint32_t* words);
  void (*noise)(Law law, int64_t n, const uint32_t* words, float* e);
  RunNoise (*run_noise)(DType type);
};

// One per file: scalar.cpp, neon.cpp, avx2.cpp, avx512.cpp. The vector ones are null if not built.
extern const Kernels* const kScalarKernels;
extern const Kernels* const kNeonKernels;
extern const Kernels* const kAvx2Kernels;
extern const Kernels* const kAvx512Kernels;

}  // namespace torchdropout
