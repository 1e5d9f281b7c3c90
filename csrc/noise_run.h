// The loops over noise, written once; an instruction set fills in the vectors.
//
// Words, then numbers, then elements, in pieces that fit into the first-level cache. Besides what
// run.h requires of an instruction set `Isa`, it has
//   make_words<n>(folded, key, domain, block, words)   the words of 8 n Philox calls, in order
// and its doubles, `Doubles`, are
//   D, kLanes                       a vector of doubles with the operators of one, and its size
//   kStrip                          vectors that are processed together, to hide latencies
//   set, load, store, root
//   magnitude(x), with_sign(magnitude, sign)
//   centred(words)                  u - 1/2, of u = (2w + 1) / 2**33
//   split(x, &k, &m)                x = m * 2**k, with m from sqrt(1/2) to sqrt(2), of an x >= 1
//   collect(q, place, count, rare, places)   appends the lanes of q that are beyond kSplit to
//                                   `rare`, and `place` plus their numbers to `places`; returns the
//                                   new count. It may write a vector past them.
//   rounded(vectors, C())           a pack of compute type C
#pragma once

#include "noise.h"
#include "run.h"

namespace torchdropout {

// 2**19 + u is these bits with 2w in them: the last bit is worth 2**-33.
constexpr uint64_t kCentredBits = (uint64_t{1023 + 19} << 52) | 1;
constexpr double kCentredMiddle = 524288.5;
// With an integer below 2**52 in its last bits this number is larger by that integer.
constexpr uint64_t kIntegerBits = uint64_t{1023 + 52} << 52;
constexpr double kIntegerZero = 4503599627370496.0;

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

template <class Doubles>
struct Numbers {
  using D = typename Doubles::D;
  static constexpr int kLanes = Doubles::kLanes;
  static constexpr int kStrip = Doubles::kStrip;
  static constexpr int kStep = kLanes * kStrip;

  static D set(double value) { return Doubles::set(value); }

  // c[0] + x (c[1] + x (c[2] + ...)) of a strip.
  template <size_t n>
  static void horner(const double (&c)[n], const D* x, D* value) {
    for (int j = 0; j < kStrip; ++j) value[j] = set(c[n - 1]);
    for (size_t i = n - 1; i-- > 0;) {
      for (int j = 0; j < kStrip; ++j) value[j] = value[j] * x[j] + set(c[i]);
    }
  }

  static void logarithm(D* x) {
    D k[kStrip], f[kStrip], s[kStrip], z[kStrip], r[kStrip];
    for (int j = 0; j < kStrip; ++j) {
      D m;
      Doubles::split(x[j], &k[j], &m);
      f[j] = m - set(1.0);
      s[j] = f[j] / (f[j] + set(2.0));
      z[j] = s[j] * s[j];
    }
    horner(kLog, z, r);
    for (int j = 0; j < kStrip; ++j) {
      const D half = set(0.5) * f[j] * f[j];
      const D low = s[j] * (half + z[j] * r[j]) + k[j] * set(kLn2Low);
      x[j] = k[j] * set(kLn2High) - ((half - low) - f[j]);
    }
  }

  // min(u, 1 - u) * 2**33, exact.
  static D rarer(D q) { return (set(0.5) - Doubles::magnitude(q)) * set(8589934592.0); }

  static void uniform(int64_t n, const uint32_t* words, double* e) {
    for (int64_t i = 0; i < n; i += kLanes) {
      Doubles::store(e + i, Doubles::centred(words + i) * set(2.0));
    }
  }

  static void logistic(int64_t n, const uint32_t* words, double* e) {
    for (int64_t i = 0; i < n; i += kStep) {
      D q[kStrip], x[kStrip];
      for (int j = 0; j < kStrip; ++j) {
        q[j] = Doubles::centred(words + i + j * kLanes);
        const D rare = rarer(q[j]);
        x[j] = (set(8589934592.0) - rare) / rare;
      }
      logarithm(x);
      for (int j = 0; j < kStrip; ++j) {
        Doubles::store(e + i + j * kLanes, Doubles::with_sign(x[j], q[j]));
      }
    }
  }

  // All as if they were in the central region; those that are not, gathered, in a second pass.
  static void normal(int64_t n, const uint32_t* words, double* e) {
    double rare[kNoisePiece + kStep];
    int32_t places[kNoisePiece + kStep];
    int count = 0;
    for (int64_t i = 0; i < n; i += kStep) {
      D q[kStrip], r[kStrip], above[kStrip], below[kStrip];
      for (int j = 0; j < kStrip; ++j) {
        q[j] = Doubles::centred(words + i + j * kLanes);
        r[j] = set(0.180625) - q[j] * q[j];
      }
      horner(kA, r, above);
      horner(kB, r, below);
      for (int j = 0; j < kStrip; ++j) {
        const int place = static_cast<int>(i) + j * kLanes;
        Doubles::store(e + place, q[j] * above[j] / below[j]);
        count = Doubles::collect(q[j], place, count, rare, places);
      }
    }
    for (int j = 0; j < kStrip; ++j) Doubles::store(rare + count + j * kLanes, set(0.0));
    for (int i = 0; i < count; i += kStep) tail(rare + i);
    for (int i = 0; i < count; ++i) e[places[i]] = rare[i];
  }

  static void tail(double* rare) {
    D q[kStrip], r[kStrip], above[kStrip], below[kStrip];
    for (int j = 0; j < kStrip; ++j) {
      q[j] = Doubles::load(rare + j * kLanes);
      r[j] = rarer(q[j]);
    }
    logarithm(r);
    for (int j = 0; j < kStrip; ++j) {
      r[j] = Doubles::root(set(33 * kLn2) - r[j]) - set(1.6);
    }
    horner(kC, r, above);
    horner(kD, r, below);
    for (int j = 0; j < kStrip; ++j) {
      Doubles::store(rare + j * kLanes, Doubles::with_sign(above[j] / below[j], q[j]));
    }
  }
};

template <class Doubles>
void noise(Law law, int64_t n, const uint32_t* words, double* e) {
  switch (law) {
    case Law::kUniform:
      return Numbers<Doubles>::uniform(n, words, e);
    case Law::kNormal:
      return Numbers<Doubles>::normal(n, words, e);
    case Law::kLogistic:
      return Numbers<Doubles>::logistic(n, words, e);
  }
}

// --- elements ------------------------------------------------------------------------------------

template <class Isa, class Doubles, class T>
class NoiseRunner {
  using C = Compute<T>;
  using Pack = typename Isa::template Pack<C>;
  using D = typename Doubles::D;
  static constexpr int kVectors = Pack::kSize / Doubles::kLanes;  // of doubles, to a pack

  template <bool factor, bool addend>
  static void pack(const NoiseAffine& affine, const T* x, T* y, const double* e) {
    Pack value = Isa::template load<Order::kSequential, C>(x);
    D v[kVectors];
    if (factor) {
      for (int j = 0; j < kVectors; ++j) {
        v[j] = Doubles::set(1.0) +
               Doubles::set(affine.factor) * Doubles::load(e + j * Doubles::kLanes);
      }
      value = Isa::multiply(value, Doubles::rounded(v, C()));
    }
    if (addend) {
      for (int j = 0; j < kVectors; ++j) {
        v[j] = Doubles::set(affine.addend) * Doubles::load(e + j * Doubles::kLanes);
      }
      value = Isa::add(value, Doubles::rounded(v, C()));
    }
    Isa::template store<Order::kSequential, false>(y, value);
  }

  template <bool factor, bool addend>
  static void all(const NoiseAffine& affine, const T* x, T* y, int64_t n, const double* e) {
    constexpr int kSize = Pack::kSize;
    int64_t i = 0;
    for (; i + kSize <= n; i += kSize) pack<factor, addend>(affine, x + i, y + i, e + i);
    if (i == n) return;
    // Through buffers: nothing is read or written past the end.
    alignas(64) T last_x[kSize] = {};
    alignas(64) T last_y[kSize];
    alignas(64) double last_e[kSize] = {};
    std::memcpy(last_x, x + i, (n - i) * sizeof(T));
    std::memcpy(last_e, e + i, (n - i) * sizeof(double));
    pack<factor, addend>(affine, last_x, last_y, last_e);
    std::memcpy(y + i, last_y, (n - i) * sizeof(T));
  }

 public:
  static void run(const NoiseAffine& affine, const void* from, void* to, int64_t n,
                  const double* e) {
    const auto* x = static_cast<const T*>(from);
    auto* y = static_cast<T*>(to);
    const bool factor = affine.factor != 0.0, addend = affine.addend != 0.0;
    factor && addend ? all<true, true>(affine, x, y, n, e)
    : factor         ? all<true, false>(affine, x, y, n, e)
    : addend         ? all<false, true>(affine, x, y, n, e)
                     : all<false, false>(affine, x, y, n, e);
  }
};

template <class Isa, class Doubles>
RunNoise run_noise(DType type) {
  switch (type) {
    case DType::kFloat32:
      return NoiseRunner<Isa, Doubles, float>::run;
    case DType::kFloat64:
      return NoiseRunner<Isa, Doubles, double>::run;
    case DType::kFloat16:
      return NoiseRunner<Isa, Doubles, Float16>::run;
    case DType::kBFloat16:
      return NoiseRunner<Isa, Doubles, BFloat16>::run;
  }
  return nullptr;
}

}  // namespace torchdropout
