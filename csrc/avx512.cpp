// AVX-512: sixteen lanes, and keep bits in mask registers.
#include "kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && \
    defined(__AVX512DQ__) && defined(__BMI2__)
#include <immintrin.h>

#include "noise_run.h"
#include "packs.h"

namespace torchdropout {
namespace {

struct Avx512 : OnPacks<Avx512> {
  struct Keep {
    __mmask32 at[2];  // elements 0 to 31, 32 to 63
  };
  static constexpr int kBatch = 6;  // of four registers each: with more of them some are stored

  template <class C>
  struct Pack;

  static uint64_t to_bits(Keep keep) { return uint64_t{keep.at[1]} << 32 | keep.at[0]; }
  static Keep from_bits(uint64_t bits) {
    return {{static_cast<__mmask32>(bits), static_cast<__mmask32>(bits >> 32)}};
  }

  template <int n>
  static void make_keep(const Folded& folded, const IndexedMask& mask, uint64_t block, Keep* keep) {
    const __m512i limit = _mm512_set1_epi16(static_cast<int16_t>(mask.threshold.high));
    __mmask32 ties[n][2], any = 0;
    philox<n>(folded, block, [&](int i, __m512i first, __m512i last) {
      const __m512i halves[2] = {first, last};
      for (int j = 0; j < 2; ++j) {
        keep[i].at[j] = _mm512_cmpge_epu16_mask(halves[j], limit);
        ties[i][j] = _mm512_cmpeq_epi16_mask(halves[j], limit);
        any |= ties[i][j];
      }
    });
    if (__builtin_expect(any != 0, 0)) {
      for (int i = 0; i < n; ++i) {
        const uint64_t tied = to_bits({{ties[i][0], ties[i][1]}});
        keep[i] = from_bits(
            drop_ties(mask, block + kGroup / kPerBlock * i, to_bits(keep[i]), tied));
      }
    }
  }

  template <int n>
  static void make_words(const Folded& folded, const Key&, uint32_t, uint64_t block, uint32_t* w) {
    philox<n>(folded, block, [&](int i, __m512i first, __m512i last) {
      _mm512_storeu_si512(w + 32 * i, first);
      _mm512_storeu_si512(w + 32 * i + 16, last);
    });
  }

  static int collect(int n, const uint32_t* words, uint32_t* rare, int32_t* places) {
    const __m512i central = _mm512_set1_epi32(kCentral), first = _mm512_set1_epi32(kRareFrom);
    const __m512i lane =
        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    int count = 0;
    for (int i = 0; i < n; i += 16) {
      const __m512i w = _mm512_loadu_si512(words + i);
      __mmask16 beyond = _mm512_cmpge_epi32_mask(_mm512_add_epi32(w, central), first);
      if (n - i < 16) beyond &= static_cast<__mmask16>((1 << (n - i)) - 1);
      // Packed in a register first: packing stores take a hundred cycles on some processors.
      _mm512_storeu_si512(rare + count, _mm512_maskz_compress_epi32(beyond, w));
      _mm512_storeu_si512(
          places + count,
          _mm512_maskz_compress_epi32(beyond, _mm512_add_epi32(lane, _mm512_set1_epi32(i))));
      count += __builtin_popcount(beyond);
    }
    return count;
  }

  static void fence() { _mm_sfence(); }

 private:
  // Philox with one block per 64-bit lane: a product leaves its high word where a shuffle finds it
  // and its low word where the next product reads it. The bits above a word are never read. `each`
  // gets n times the words of eight blocks in order: (i, first four blocks, last four blocks).
  template <int n, class Each>
  static void philox(const Folded& folded, uint64_t block, const Each& each) {
    const __m512i m0 = _mm512_set1_epi64(kMultiplier0);
    const __m512i m1 = _mm512_set1_epi64(kMultiplier1);
    const __m512i second = _mm512_set1_epi64(folded.second);
    const __m512i third = _mm512_set1_epi64(folded.third);
    const __m512i fourth = _mm512_set1_epi64(folded.fourth);
    // Blocks in the order in which the unpacking at the end makes them adjacent.
    const __m512i lane = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
    __m512i c0[n], c1[n], c2[n], c3[n];
    for (int i = 0; i < n; ++i) {
      const __m512i counter =
          _mm512_add_epi64(lane, _mm512_set1_epi64(static_cast<int64_t>(block + kBlocks * i)));
      c3[i] = _mm512_mul_epu32(counter, m0);
      c1[i] = _mm512_mul_epu32(_mm512_xor_si512(high(c3[i]), second), m1);
      c0[i] = _mm512_xor_si512(high(c1[i]), third);
      c2[i] = _mm512_xor_si512(c3[i], fourth);
    }
    for (int round = 0; round < Folded::kLeft; ++round) {
      const __m512i k0 = _mm512_set1_epi64(folded.key0[round]);
      const __m512i k1 = _mm512_set1_epi64(folded.key1[round]);
      for (int i = 0; i < n; ++i) {
        const __m512i product0 = _mm512_mul_epu32(c0[i], m0);
        const __m512i product1 = _mm512_mul_epu32(c2[i], m1);
        c0[i] = xor3(high(product1), c1[i], k0);
        c2[i] = round == 0 ? _mm512_xor_si512(high(product0), k1)  // its c3 is folded into k1
                           : xor3(high(product0), c3[i], k1);
        c1[i] = product1;
        c3[i] = product0;
      }
    }
    for (int i = 0; i < n; ++i) {
      const __m512i low4 = _mm512_mask_shuffle_epi32(c0[i], 0xAAAA, c1[i], _MM_PERM_CCAA);
      const __m512i high4 = _mm512_mask_shuffle_epi32(c2[i], 0xAAAA, c3[i], _MM_PERM_CCAA);
      each(i, _mm512_unpacklo_epi64(low4, high4), _mm512_unpackhi_epi64(low4, high4));
    }
  }

  // A shuffle instead of a shift: the port that shifts is busy with the products.
  static __m512i high(__m512i product) { return _mm512_shuffle_epi32(product, _MM_PERM_DDBB); }
  static __m512i xor3(__m512i a, __m512i b, __m512i c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
  }
};

template <bool streaming>
void write(void* p, __m512i value) {
  streaming ? _mm512_stream_si512(static_cast<__m512i*>(p), value) : _mm512_storeu_si512(p, value);
}

template <>
struct Avx512::Pack<float> {
  static constexpr int kSize = 32;
  __m512 a, b;  // the first and the last sixteen, or the even and the odd ones

  struct Part {
    __mmask16 a, b;
  };

  template <Order order>
  static Part part(const Keep& keep, int i) {
    const uint32_t bits = keep.at[i];
    if (order == Order::kSequential) {
      return {static_cast<__mmask16>(bits), static_cast<__mmask16>(bits >> 16)};
    }
    return {static_cast<__mmask16>(_pext_u32(bits, 0x55555555)),
            static_cast<__mmask16>(_pext_u32(bits, 0xAAAAAAAA))};
  }

  static Pack broadcast(float value) { return {_mm512_set1_ps(value), _mm512_set1_ps(value)}; }

  static Pack select(Part keep, Pack kept, Pack dropped) {
    return {_mm512_mask_mov_ps(dropped.a, keep.a, kept.a),
            _mm512_mask_mov_ps(dropped.b, keep.b, kept.b)};
  }

  template <Order>
  static Pack load(const float* p) {
    return {_mm512_loadu_ps(p), _mm512_loadu_ps(p + 16)};
  }
  template <Order>
  static Pack load(const Float16* p) {
    return {_mm512_cvtph_ps(half(p)), _mm512_cvtph_ps(half(p + 16))};
  }
  template <Order order>
  static Pack load(const BFloat16* p) {
    if (order == Order::kEvenOdd) {
      const __m512i pairs = _mm512_loadu_si512(p);
      return {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)),
              _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(0xFFFF0000)))};
    }
    return {widened(half(p)), widened(half(p + 16))};
  }

  template <Order, bool streaming>
  void store(float* p) const {
    write<streaming>(p, _mm512_castps_si512(a));
    write<streaming>(p + 16, _mm512_castps_si512(b));
  }
  template <Order, bool streaming>
  void store(Float16* p) const {
    constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    write<streaming>(p, joined(_mm512_cvtps_ph(a, kNearest), _mm512_cvtps_ph(b, kNearest)));
  }
  template <Order order, bool streaming>
  void store(BFloat16* p) const {
    if (order == Order::kEvenOdd) {
      write<streaming>(p, rounded_pairs());
    } else {
      write<streaming>(p, joined(rounded(a), rounded(b)));
    }
  }

 private:
  static __m256i half(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static __m512i joined(__m256i low, __m256i high) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  static __m512 widened(__m256i bfloat16) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bfloat16), 16));
  }
  // By hand: the instruction for it treats subnormal numbers as zero.
  static __m256i rounded(__m512 value) {
    const __m512i bits = _mm512_castps_si512(value);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
    const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(
        _mm512_mask_mov_epi32(_mm512_srli_epi32(up, 16), nan, _mm512_set1_epi32(0x7FC0)));
  }
  // In 16-bit lanes: high halves go up by one where the low half is above the middle, or at it
  // while the high half is odd. A NaN made of bfloat16 operands has a low half of zero.
  __m512i rounded_pairs() const {
    const __m512i even = _mm512_castps_si512(a);
    const __m512i odd = _mm512_castps_si512(b);
    constexpr __mmask32 kOdd = 0xAAAAAAAA;
    const __m512i top = _mm512_mask_blend_epi16(kOdd, _mm512_srli_epi32(even, 16), odd);
    const __m512i rest = _mm512_mask_blend_epi16(kOdd, even, _mm512_slli_epi32(odd, 16));
    // rest | (top & 1)
    const __m512i decides = _mm512_ternarylogic_epi32(rest, top, _mm512_set1_epi16(1), 0xF8);
    const __mmask32 up =
        _mm512_cmpgt_epu16_mask(decides, _mm512_set1_epi16(static_cast<int16_t>(0x8000)));
    return _mm512_mask_add_epi16(top, up, top, _mm512_set1_epi16(1));
  }
};

template <>
struct Avx512::Pack<double> {
  static constexpr int kSize = 16;
  __m512d a, b;

  struct Part {
    __mmask8 a, b;
  };

  template <Order>
  static Part part(const Keep& keep, int i) {
    const uint32_t bits = keep.at[i / 2] >> 16 * (i % 2);
    return {static_cast<__mmask8>(bits), static_cast<__mmask8>(bits >> 8)};
  }

  static Pack broadcast(double value) { return {_mm512_set1_pd(value), _mm512_set1_pd(value)}; }

  static Pack select(Part keep, Pack kept, Pack dropped) {
    return {_mm512_mask_mov_pd(dropped.a, keep.a, kept.a),
            _mm512_mask_mov_pd(dropped.b, keep.b, kept.b)};
  }

  template <Order>
  static Pack load(const double* p) {
    return {_mm512_loadu_pd(p), _mm512_loadu_pd(p + 8)};
  }
  template <Order, bool streaming>
  void store(double* p) const {
    write<streaming>(p, _mm512_castpd_si512(a));
    write<streaming>(p + 8, _mm512_castpd_si512(b));
  }
};

constexpr Kernels kKernels = {"avx512",
                              runs<Avx512>,
                              keep_bits<Avx512>,
                              noise_words<Avx512>,
                              noise<Avx512>,
                              run_noise<Avx512>};

}  // namespace

const Kernels* const kAvx512Kernels = &kKernels;

}  // namespace torchdropout

#else

const torchdropout::Kernels* const torchdropout::kAvx512Kernels = nullptr;

#endif
