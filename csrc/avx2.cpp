// AVX2 (with F16C): eight lanes, and keep bits as lanes of all ones.
#include "kernels.h"

#if defined(__AVX2__) && defined(__F16C__)
#include <immintrin.h>

#include "noise_run.h"
#include "packs.h"

namespace torchdropout {
namespace {

// For each set of eight lanes, their numbers, packed.
struct LanesOf {
  uint8_t set[256][8] = {};

  constexpr LanesOf() {
    for (int bits = 0; bits < 256; ++bits) {
      for (int lane = 0, at = 0; lane < 8; ++lane) {
        if (bits >> lane & 1) set[bits][at++] = static_cast<uint8_t>(lane);
      }
    }
  }
};
constexpr LanesOf kLanesOf;

struct Avx2 : OnPacks<Avx2> {
  struct Keep {
    __m256i at[4];  // sixteen elements each, one 16-bit lane per element
  };
  static constexpr int kBatch = 2;

  template <class C>
  struct Pack;

  static uint64_t to_bits(const Keep& keep) {
    return uint64_t{to_bits(keep.at[2], keep.at[3])} << 32 | to_bits(keep.at[0], keep.at[1]);
  }
  static Keep from_bits(uint64_t bits) {
    const __m256i place = _mm256_set_epi16(-0x8000, 0x4000, 0x2000, 0x1000, 0x800, 0x400, 0x200,
                                           0x100, 0x80, 0x40, 0x20, 0x10, 8, 4, 2, 1);
    Keep keep;
    for (int i = 0; i < 4; ++i) {
      const __m256i word = _mm256_set1_epi16(static_cast<int16_t>(bits >> 16 * i));
      keep.at[i] = _mm256_cmpeq_epi16(_mm256_and_si256(word, place), place);
    }
    return keep;
  }

  template <int n>
  static void make_keep(const Folded& folded, const IndexedMask& mask, uint64_t block, Keep* keep) {
    const __m256i limit = _mm256_set1_epi16(static_cast<int16_t>(mask.threshold.high));
    __m256i ties[2 * n][2], any = _mm256_setzero_si256();
    philox<n>(folded, block, [&](int i, __m256i first, __m256i last) {
      const __m256i halves[2] = {first, last};
      for (int j = 0; j < 2; ++j) {
        // Unsigned "at least", for which there is no comparison.
        keep[i / 2].at[i % 2 * 2 + j] =
            _mm256_cmpeq_epi16(_mm256_max_epu16(halves[j], limit), halves[j]);
        ties[i][j] = _mm256_cmpeq_epi16(halves[j], limit);
        any = _mm256_or_si256(any, ties[i][j]);
      }
    });
    if (__builtin_expect(!_mm256_testz_si256(any, any), 0)) {
      for (int i = 0; i < n; ++i) {
        const Keep tied = {{ties[2 * i][0], ties[2 * i][1], ties[2 * i + 1][0], ties[2 * i + 1][1]}};
        keep[i] = from_bits(drop_ties(mask, block + kGroup / kPerBlock * i, to_bits(keep[i]),
                                      to_bits(tied)));
      }
    }
  }

  template <int n>
  static void make_words(const Folded& folded, const Key&, uint32_t, uint64_t block, uint32_t* w) {
    philox<n>(folded, block, [&](int i, __m256i first, __m256i last) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(w + 16 * i), first);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(w + 16 * i + 8), last);
    });
  }

  static int collect(int n, const uint32_t* words, uint32_t* rare, int32_t* places) {
    const __m256i central = _mm256_set1_epi32(kCentral), last = _mm256_set1_epi32(kRareFrom - 1);
    int count = 0;
    for (int i = 0; i < n; i += 8) {
      const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + i));
      const __m256i beyond = _mm256_cmpgt_epi32(_mm256_add_epi32(w, central), last);
      int set = _mm256_movemask_ps(_mm256_castsi256_ps(beyond));
      if (n - i < 8) set &= (1 << (n - i)) - 1;
      const __m256i lanes = _mm256_cvtepu8_epi32(
          _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kLanesOf.set[set])));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(rare + count),
                          _mm256_permutevar8x32_epi32(w, lanes));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(places + count),
                          _mm256_add_epi32(lanes, _mm256_set1_epi32(i)));
      count += __builtin_popcount(static_cast<unsigned>(set));
    }
    return count;
  }

  static void fence() { _mm_sfence(); }

 private:
  // Philox, one block per 64-bit lane: a product leaves its high word where a shift finds it and
  // its low word where the next product reads it. The bits above a word are never read. `each` gets
  // 2n times the words of four blocks in order: (i, those of the first two, those of the last two).
  template <int n, class Each>
  static void philox(const Folded& folded, uint64_t block, const Each& each) {
    constexpr int kParts = 2 * n;  // of four blocks
    const __m256i m0 = _mm256_set1_epi64x(kMultiplier0);
    const __m256i m1 = _mm256_set1_epi64x(kMultiplier1);
    const __m256i second = _mm256_set1_epi64x(folded.second);
    const __m256i third = _mm256_set1_epi64x(folded.third);
    const __m256i fourth = _mm256_set1_epi64x(folded.fourth);
    // Blocks in the order in which the unpacking at the end makes them adjacent.
    const __m256i lane = _mm256_set_epi64x(3, 1, 2, 0);
    __m256i c0[kParts], c1[kParts], c2[kParts], c3[kParts];
    for (int i = 0; i < kParts; ++i) {
      const __m256i counter =
          _mm256_add_epi64(lane, _mm256_set1_epi64x(static_cast<int64_t>(block + kBlocks / 2 * i)));
      c3[i] = _mm256_mul_epu32(counter, m0);
      c1[i] = _mm256_mul_epu32(_mm256_xor_si256(high(c3[i]), second), m1);
      c0[i] = _mm256_xor_si256(high(c1[i]), third);
      c2[i] = _mm256_xor_si256(c3[i], fourth);
    }
    for (int round = 0; round < Folded::kLeft; ++round) {
      const __m256i k0 = _mm256_set1_epi64x(folded.key0[round]);
      const __m256i k1 = _mm256_set1_epi64x(folded.key1[round]);
      for (int i = 0; i < kParts; ++i) {
        const __m256i product0 = _mm256_mul_epu32(c0[i], m0);
        const __m256i product1 = _mm256_mul_epu32(c2[i], m1);
        c0[i] = _mm256_xor_si256(_mm256_xor_si256(high(product1), c1[i]), k0);
        c2[i] = _mm256_xor_si256(high(product0), k1);
        if (round > 0) c2[i] = _mm256_xor_si256(c2[i], c3[i]);  // the first is folded into k1
        c1[i] = product1;
        c3[i] = product0;
      }
    }
    for (int i = 0; i < kParts; ++i) {
      const __m256i low4 = odd_words(c0[i], c1[i]);
      const __m256i high4 = odd_words(c2[i], c3[i]);
      each(i, _mm256_unpacklo_epi64(low4, high4), _mm256_unpackhi_epi64(low4, high4));
    }
  }

  static __m256i high(__m256i product) { return _mm256_srli_epi64(product, 32); }
  // The low words of the lanes of a, and above each that of b.
  static __m256i odd_words(__m256i a, __m256i b) {
    return _mm256_blend_epi32(a, _mm256_shuffle_epi32(b, 0xA0), 0xAA);
  }
  static uint32_t to_bits(__m256i first, __m256i last) {
    // Packing alternates between 128-bit lanes; the permutation puts them in order.
    const __m256i bytes =
        _mm256_permute4x64_epi64(_mm256_packs_epi16(first, last), _MM_SHUFFLE(3, 1, 2, 0));
    return static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
  }
};

template <bool streaming>
void write(void* p, __m256i value) {
  auto* at = static_cast<__m256i*>(p);
  streaming ? _mm256_stream_si256(at, value) : _mm256_storeu_si256(at, value);
}

template <>
struct Avx2::Pack<float> {
  static constexpr int kSize = 16;
  __m256 a, b;  // the first and the last eight, or the even and the odd ones

  struct Part {
    __m256 a, b;
  };

  template <Order order>
  static Part part(const Keep& keep, int i) {
    const __m256i bits = keep.at[i];
    if (order == Order::kSequential) {
      return {_mm256_castsi256_ps(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(bits))),
              _mm256_castsi256_ps(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(bits, 1)))};
    }
    // The selects read the top bit of a 32-bit lane.
    return {_mm256_castsi256_ps(_mm256_slli_epi32(bits, 16)), _mm256_castsi256_ps(bits)};
  }

  static Pack broadcast(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }

  static Pack select(Part keep, Pack kept, Pack dropped) {
    return {_mm256_blendv_ps(dropped.a, kept.a, keep.a),
            _mm256_blendv_ps(dropped.b, kept.b, keep.b)};
  }

  template <Order>
  static Pack load(const float* p) {
    return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
  }
  template <Order>
  static Pack load(const Float16* p) {
    return {_mm256_cvtph_ps(half(p)), _mm256_cvtph_ps(half(p + 8))};
  }
  template <Order order>
  static Pack load(const BFloat16* p) {
    if (order == Order::kEvenOdd) {
      const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
      return {_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)),
              _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(0xFFFF0000)))};
    }
    return {widened(half(p)), widened(half(p + 8))};
  }

  template <Order, bool streaming>
  void store(float* p) const {
    write<streaming>(p, _mm256_castps_si256(a));
    write<streaming>(p + 8, _mm256_castps_si256(b));
  }
  template <Order, bool streaming>
  void store(Float16* p) const {
    constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    write<streaming>(p, _mm256_set_m128i(_mm256_cvtps_ph(b, kNearest), _mm256_cvtps_ph(a, kNearest)));
  }
  template <Order order, bool streaming>
  void store(BFloat16* p) const {
    const __m256i even = rounded(a);
    const __m256i odd = rounded(b);
    if (order == Order::kEvenOdd) {
      write<streaming>(p, _mm256_blend_epi16(_mm256_srli_epi32(even, 16), odd, 0xAA));
    } else {
      const __m256i lanes = _mm256_packus_epi32(_mm256_srli_epi32(even, 16),
                                                _mm256_srli_epi32(odd, 16));
      write<streaming>(p, _mm256_permute4x64_epi64(lanes, _MM_SHUFFLE(3, 1, 2, 0)));
    }
  }

 private:
  static __m128i half(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static __m256 widened(__m128i bfloat16) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bfloat16), 16));
  }
  // The bfloat16 is the upper half of each lane.
  static __m256i rounded(__m256 value) {
    const __m256i bits = _mm256_castps_si256(value);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
    const __m256 nan = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
    return _mm256_castps_si256(_mm256_blendv_ps(
        _mm256_castsi256_ps(up), _mm256_castsi256_ps(_mm256_set1_epi32(0x7FC00000)), nan));
  }
};

template <>
struct Avx2::Pack<double> {
  static constexpr int kSize = 8;
  __m256d a, b;

  struct Part {
    __m256d a, b;
  };

  template <Order>
  static Part part(const Keep& keep, int i) {
    const __m128i bits = i % 2 == 0 ? _mm256_castsi256_si128(keep.at[i / 2])
                                    : _mm256_extracti128_si256(keep.at[i / 2], 1);
    return {_mm256_castsi256_pd(_mm256_cvtepi16_epi64(bits)),
            _mm256_castsi256_pd(_mm256_cvtepi16_epi64(_mm_srli_si128(bits, 8)))};
  }

  static Pack broadcast(double value) { return {_mm256_set1_pd(value), _mm256_set1_pd(value)}; }

  static Pack select(Part keep, Pack kept, Pack dropped) {
    return {_mm256_blendv_pd(dropped.a, kept.a, keep.a),
            _mm256_blendv_pd(dropped.b, kept.b, keep.b)};
  }

  template <Order>
  static Pack load(const double* p) {
    return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)};
  }
  template <Order, bool streaming>
  void store(double* p) const {
    write<streaming>(p, _mm256_castpd_si256(a));
    write<streaming>(p + 4, _mm256_castpd_si256(b));
  }
};

constexpr Kernels kKernels = {"avx2",
                              runs<Avx2>,
                              keep_bits<Avx2>,
                              noise_words<Avx2>,
                              noise<Avx2>,
                              run_noise<Avx2>};

}  // namespace

const Kernels* const kAvx2Kernels = &kKernels;

}  // namespace torchdropout

#else

const torchdropout::Kernels* const torchdropout::kAvx2Kernels = nullptr;

#endif
