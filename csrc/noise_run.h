// The loops over noise, written once; the compiler makes them vectors of each instruction set.
//
// Words, then numbers, then elements, in pieces that fit into the first-level cache. Besides what
// run.h requires of an instruction set `Isa`, it has
//   make_words<n>(folded, key, domain, block, words)   the words of 8 n Philox calls, in order
//   collect(n, words, rare, places)   the words beyond the central region of the normal
//                                     distribution, and their places; returns how many. It may read
//                                     a vector that begins before n, and write one past the last.
#pragma once

#include <cmath>

#include "noise.h"
#include "run.h"

namespace torchdropout {

// --- words ---------------------------------------------------------------------------------------

template <class Isa>
void noise_words(const Key& key, uint32_t domain, uint64_t index, int64_t n, uint32_t* words) {
  constexpr int kPerGroup = kBlocks * kPerNoiseBlock;
  constexpr int64_t kRoom = kNoisePiece + kPerGroup;
  uint32_t room[kRoom];
  const int skipped = static_cast<int>(index % kPerNoiseBlock);
  uint64_t block = index / kPerNoiseBlock;
  // Directly to their destination if they start with a block and end with a group.
  const bool fits = skipped == 0 && n % kPerGroup == 0;
  uint32_t* at = fits ? words : room;
  int64_t left = (skipped + n + kPerGroup - 1) / kPerGroup;
  const auto folded_at = [&](uint64_t b) {
    return Folded(key, static_cast<uint32_t>(b >> 32), kNoiseHighMask, domain);
  };
  Folded folded = folded_at(block);
  const auto make = [&](auto size) {
    Isa::template make_words<size()>(folded, key, domain, block, at);
    at += size() * kPerGroup;
    block += size() * kBlocks;
    left -= size();
  };
  while (left > 0) {
    const uint64_t same = (uint64_t{1} << 32) - (block & 0xFFFFFFFF);
    if (same == uint64_t{1} << 32) folded = folded_at(block);
    if (left >= Isa::kBatch && same >= kBlocks * Isa::kBatch) {
      make(std::integral_constant<int, Isa::kBatch>());
      continue;
    }
    if (left >= 2 && same >= kBlocks * 2) {
      make(std::integral_constant<int, 2>());
      continue;
    }
    make(std::integral_constant<int, 1>());
    if (same < kBlocks) {  // the high word of the block number changes within the group
      uint32_t after[kPerGroup];
      folded = folded_at(block);
      Isa::template make_words<1>(folded, key, domain, block - kBlocks, after);
      std::copy(after + same * kPerNoiseBlock, after + kPerGroup,
                at - kPerGroup + same * kPerNoiseBlock);
    }
  }
  if (!fits) std::memcpy(words, room + skipped, n * sizeof *words);
}

// --- numbers -------------------------------------------------------------------------------------

template <class Isa>
struct Numbers {
  static void make(Law law, int64_t n, const uint32_t* words, float* e) {
    switch (law) {
      case Law::kUniform:
        for (int64_t i = 0; i < n; ++i) e[i] = uniform(words[i]);
        return;
      case Law::kNormal:
        return normal(n, words, e);
      case Law::kLogistic:
        for (int64_t i = 0; i < n; ++i) e[i] = logistic(words[i]);
        return;
    }
  }

 private:
  // All as if they were in the central region; those that are not, gathered, in a second pass.
  static void normal(int64_t n, const uint32_t* words, float* e) {
    for (int64_t i = 0; i < n; ++i) e[i] = central(words[i]);
    constexpr int64_t kVector = 16;  // the longest
    uint32_t rare[kNoisePiece + kVector];
    int32_t places[kNoisePiece + kVector];
    float tails[kNoisePiece];
    const int count = Isa::collect(static_cast<int>(n), words, rare, places);
    for (int i = 0; i < count; ++i) tails[i] = tail(rare[i]);
    for (int i = 0; i < count; ++i) e[places[i]] = tails[i];
  }

  // How far the word is from the middle, the same for both sides: 0 to 2**31 - 1.
  static int32_t offset(uint32_t word) {
    const auto centred = static_cast<int32_t>(word ^ 0x80000000);
    return centred ^ (centred >> 31);
  }
  static float with_sign(float magnitude, uint32_t word) {
    return float_of(bits_of(magnitude) | (~word & 0x80000000));
  }
  // |2u - 1| and min(u, 1 - u).
  static float distance(int32_t offset) {
    return (static_cast<float>(offset) + 0.5f) * 0x1p-31f;
  }
  static float rarer(int32_t offset) {
    return (static_cast<float>(offset ^ 0x7FFFFFFF) + 0.5f) * 0x1p-32f;
  }

  // c[0] + x (c[1] + x (c[2] + ...))
  template <size_t n>
  static float horner(const float (&c)[n], float x) {
    float value = c[n - 1];
    for (size_t i = n - 1; i-- > 0;) value = value * x + c[i];
    return value;
  }

  static float logarithm(float x) {
    const auto bits = static_cast<int32_t>(bits_of(x));
    const int32_t exponent = (bits - kRootHalf) >> 23;
    const float m = float_of(static_cast<uint32_t>(bits - exponent * (1 << 23)));
    const auto k = static_cast<float>(exponent);
    const float f = m - 1.0f;
    const float s = f / (f + 2.0f);
    return k * kLn2High + (k * kLn2Low + s * horner(kLog, s * s));
  }

  static float uniform(uint32_t word) {
    const auto centred = static_cast<int32_t>(word ^ 0x80000000) >> 8;
    return static_cast<float>(2 * centred + 1) * 0x1p-24f;
  }
  static float central(uint32_t word) {
    const float x = distance(offset(word));
    const float r = kSquare - x * x;
    return with_sign(x * horner(kA, r) / horner(kB, r), word);
  }
  static float tail(uint32_t word) {
    const float w = std::sqrt(-2.0f * logarithm(rarer(offset(word))));
    return with_sign(w - horner(kC, w) / horner(kD, w), word);
  }
  static float logistic(uint32_t word) {
    const float v = rarer(offset(word));
    return with_sign(logarithm((1.0f - v) / v), word);
  }
};

template <class Isa>
void noise(Law law, int64_t n, const uint32_t* words, float* e) {
  Numbers<Isa>::make(law, n, words, e);
}

// Whether a word is beyond the central region: adding moves both ends to the top.
static inline bool is_rare(uint32_t word) {
  return static_cast<int32_t>(word + kCentral) >= kRareFrom;
}

// `collect` for any processor.
static inline int collect_each(int n, const uint32_t* words, uint32_t* rare, int32_t* places) {
  int count = 0;
  for (int i = 0; i < n; ++i) {
    rare[count] = words[i];
    places[count] = i;
    count += is_rare(words[i]);
  }
  return count;
}

// --- elements ------------------------------------------------------------------------------------

template <class Isa, class T>
class NoiseRunner {
  using C = Compute<T>;
  using Pack = typename Isa::template Pack<C>;
  static constexpr int kSize = Pack::kSize;

  template <bool factor, bool addend>
  static void pack(const NoiseAffine& affine, const T* x, T* y, const C* e) {
    Pack value = Isa::template load<Order::kSequential, C>(x);
    const Pack noise = Isa::template load<Order::kSequential, C>(e);
    if (factor) {
      const Pack part = Isa::multiply(Isa::broadcast(static_cast<C>(affine.factor)), noise);
      value = Isa::multiply(value, Isa::add(Isa::broadcast(C{1}), part));
    }
    if (addend) {
      const Pack part = Isa::multiply(Isa::broadcast(static_cast<C>(affine.addend)), noise);
      value = Isa::add(value, part);
    }
    Isa::template store<Order::kSequential, false>(y, value);
  }

  template <bool factor, bool addend>
  static void all(const NoiseAffine& affine, const T* x, T* y, int64_t n, const C* e) {
    int64_t i = 0;
    for (; i + kSize <= n; i += kSize) pack<factor, addend>(affine, x + i, y + i, e + i);
    if (i == n) return;
    // Through buffers: nothing is read or written past the end.
    alignas(64) T last_x[kSize] = {};
    alignas(64) T last_y[kSize];
    alignas(64) C last_e[kSize] = {};
    std::memcpy(last_x, x + i, (n - i) * sizeof(T));
    std::memcpy(last_e, e + i, (n - i) * sizeof(C));
    pack<factor, addend>(affine, last_x, last_y, last_e);
    std::memcpy(y + i, last_y, (n - i) * sizeof(T));
  }

  static const float* widened(const float* e, int64_t, float*) { return e; }
  static const double* widened(const float* e, int64_t n, double* wide) {
    for (int64_t i = 0; i < n; ++i) wide[i] = e[i];
    return wide;
  }

 public:
  static void run(const NoiseAffine& affine, const void* from, void* to, int64_t n,
                  const float* numbers) {
    const auto* x = static_cast<const T*>(from);
    auto* y = static_cast<T*>(to);
    alignas(64) C wide[std::is_same<C, double>::value ? kNoisePiece : 1];
    const C* e = widened(numbers, n, wide);
    const bool factor = affine.factor != 0.0, addend = affine.addend != 0.0;
    factor && addend ? all<true, true>(affine, x, y, n, e)
    : factor         ? all<true, false>(affine, x, y, n, e)
    : addend         ? all<false, true>(affine, x, y, n, e)
                     : all<false, false>(affine, x, y, n, e);
  }
};

template <class Isa>
RunNoise run_noise(DType type) {
  switch (type) {
    case DType::kFloat32:
      return NoiseRunner<Isa, float>::run;
    case DType::kFloat64:
      return NoiseRunner<Isa, double>::run;
    case DType::kFloat16:
      return NoiseRunner<Isa, Float16>::run;
    case DType::kBFloat16:
      return NoiseRunner<Isa, BFloat16>::run;
  }
  return nullptr;
}

}  // namespace torchdropout
