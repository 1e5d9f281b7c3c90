// NEON, which every aarch64 processor has: four lanes, and keep bits as lanes of all ones.
#include "kernels.h"

#if defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <arm_neon.h>

#include "noise_run.h"
#include "packs.h"

namespace torchdropout {
namespace {

struct Neon : OnPacks<Neon> {
  struct Keep {
    uint16x8_t at[kBlocks];  // the eight elements of a block each, one 16-bit lane per element
  };
  // A round of one group is 24 instructions on a chain of some ten cycles; a round of two keeps four
  // pipes busy, and takes 16 of the 32 registers, which leaves room for products and round keys.
  static constexpr int kBatch = 2;

  template <class C>
  struct Pack;

  static uint64_t to_bits(const Keep& keep) {
    const uint8x16_t place = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    uint8x16_t bytes[4];
    for (int i = 0; i < 4; ++i) {
      bytes[i] = vandq_u8(place, vuzp1q_u8(vreinterpretq_u8_u16(keep.at[2 * i]),
                                           vreinterpretq_u8_u16(keep.at[2 * i + 1])));
    }
    const uint8x16_t sums = vpaddq_u8(vpaddq_u8(bytes[0], bytes[1]), vpaddq_u8(bytes[2], bytes[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
  }
  static Keep from_bits(uint64_t bits) {
    const uint16x8_t place = {1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80};
    const uint16x4_t words = vcreate_u16(bits);
    const uint16x8_t word[] = {vdupq_lane_u16(words, 0), vdupq_lane_u16(words, 1),
                               vdupq_lane_u16(words, 2), vdupq_lane_u16(words, 3)};
    Keep keep;
    for (int i = 0; i < 4; ++i) {
      keep.at[2 * i] = vtstq_u16(word[i], place);
      keep.at[2 * i + 1] = vtstq_u16(word[i], vshlq_n_u16(place, 8));
    }
    return keep;
  }

  template <int n>
  static void make_keep(const Folded& folded, const IndexedMask& mask, uint64_t block, Keep* keep) {
    const uint16x8_t limit = vdupq_n_u16(static_cast<uint16_t>(mask.threshold.high));
    uint16x8_t any = vdupq_n_u16(0);
    philox<n>(folded, block, [&](int i, uint32x4_t words) {
      const uint16x8_t halves = vreinterpretq_u16_u32(words);
      keep[i / kBlocks].at[i % kBlocks] = vcgeq_u16(halves, limit);
      any = vorrq_u16(any, vceqq_u16(halves, limit));
    });
    if (__builtin_expect(vmaxvq_u16(any) != 0, 0)) {
      for (int i = 0; i < n; ++i, block += kBlocks) {
        keep[i] = from_bits(
            drop_ties(mask, block, to_bits(keep[i]), ties(folded, mask.threshold.high, block)));
      }
    }
  }

  template <int n>
  static void make_words(const Folded& folded, const Key&, uint32_t, uint64_t block, uint32_t* w) {
    philox<n>(folded, block, [&](int i, uint32x4_t words) { vst1q_u32(w + 4 * i, words); });
  }

  // Stores are ordinary ones even if y is large: run.h does not prefetch it then, and processors
  // detect by themselves that whole lines are overwritten.
  static int collect(int n, const uint32_t* words, uint32_t* rare, int32_t* places) {
    return collect_each(n, words, rare, places);
  }

  static void fence() {}

 private:
  struct Product {
    uint32x4_t low, high;
  };

  // Which elements of a group tie with the threshold. Recomputed: keeping them would take registers
  // from all groups, and only one group in a thousand has any.
  __attribute__((noinline)) static uint64_t ties(const Folded& folded, uint32_t high,
                                                 uint64_t block) {
    const uint16x8_t limit = vdupq_n_u16(static_cast<uint16_t>(high));
    Keep tied;
    philox<1>(folded, block, [&](int i, uint32x4_t words) {
      tied.at[i] = vceqq_u16(vreinterpretq_u16_u32(words), limit);
    });
    return to_bits(tied);
  }

  // Philox with one block per 32-bit lane. `each` gets the four words of each block, in order, and
  // its number from `block` on.
  template <int n, class Each>
  static void philox(const Folded& folded, uint64_t block, const Each& each) {
    constexpr int kParts = 2 * n;  // of four blocks
    const uint32x2_t m = vcreate_u32(uint64_t{kMultiplier1} << 32 | kMultiplier0);
    const uint32x4_t second = vdupq_n_u32(folded.second);
    const uint32x4_t third = vdupq_n_u32(folded.third);
    const uint32x4_t fourth = vdupq_n_u32(folded.fourth);
    const uint32x4_t lane = {0, 1, 2, 3};
    uint32x4_t c0[kParts], c1[kParts], c2[kParts], c3[kParts];
    for (int i = 0; i < kParts; ++i) {
      const uint32x4_t counter = lane + vdupq_n_u32(static_cast<uint32_t>(block) + 4 * i);
      const Product product0 = product<0>(counter, m);
      const Product product1 = product<1>(product0.high ^ second, m);
      c0[i] = product1.high ^ third;
      c1[i] = product1.low;
      c2[i] = product0.low ^ fourth;
    }
    for (int round = 0; round < Folded::kLeft; ++round) {
      const uint32x4_t k0 = vdupq_n_u32(folded.key0[round]);
      const uint32x4_t k1 = vdupq_n_u32(folded.key1[round]);
      for (int i = 0; i < kParts; ++i) {
        const Product product0 = product<0>(c0[i], m);
        const Product product1 = product<1>(c2[i], m);
        c0[i] = product1.high ^ c1[i] ^ k0;
        c2[i] = product0.high ^ k1;
        if (round > 0) c2[i] ^= c3[i];  // the first is folded into k1
        c1[i] = product1.low;
        c3[i] = product0.low;
      }
    }
    for (int i = 0; i < kParts; ++i) {
      // Otherwise g++ reads these from the products, by table look-ups that first need moves.
      asm("" : "+w"(c1[i]), "+w"(c3[i]));
      const uint64x2_t pairs[] = {
          vreinterpretq_u64_u32(vzip1q_u32(c0[i], c1[i])),  // of the first two blocks
          vreinterpretq_u64_u32(vzip1q_u32(c2[i], c3[i])),
          vreinterpretq_u64_u32(vzip2q_u32(c0[i], c1[i])),  // of the last two
          vreinterpretq_u64_u32(vzip2q_u32(c2[i], c3[i])),
      };
      for (int j = 0; j < 2; ++j) {
        const uint64x2_t *low = pairs + 2 * j, *high = low + 1;
        each(4 * i + 2 * j, vreinterpretq_u32_u64(vzip1q_u64(*low, *high)));
        each(4 * i + 2 * j + 1, vreinterpretq_u32_u64(vzip2q_u64(*low, *high)));
      }
    }
  }

  // Multiply by one of the two multipliers in m.
  template <int which>
  static Product product(uint32x4_t words, uint32x2_t m) {
    const uint32x4_t first =
        vreinterpretq_u32_u64(vmull_lane_u32(vget_low_u32(words), m, which));
    const uint32x4_t last = vreinterpretq_u32_u64(vmull_high_lane_u32(words, m, which));
    return {vuzp1q_u32(first, last), vuzp2q_u32(first, last)};
  }
};

// Both orders are the same: separating even and odd elements saves nothing on NEON.
template <>
struct Neon::Pack<float> {
  static constexpr int kSize = 8;
  float32x4_t a, b;

  struct Part {
    uint32x4_t a, b;
  };

  template <Order>
  static Part part(const Keep& keep, int i) {
    const uint16x8_t lanes = keep.at[i];
    return {vreinterpretq_u32_u16(vzip1q_u16(lanes, lanes)),
            vreinterpretq_u32_u16(vzip2q_u16(lanes, lanes))};
  }

  static Pack broadcast(float value) { return {vdupq_n_f32(value), vdupq_n_f32(value)}; }

  static Pack select(Part keep, Pack kept, Pack dropped) {
    return {vbslq_f32(keep.a, kept.a, dropped.a), vbslq_f32(keep.b, kept.b, dropped.b)};
  }

  template <Order>
  static Pack load(const float* p) {
    return {vld1q_f32(p), vld1q_f32(p + 4)};
  }
  template <Order>
  static Pack load(const Float16* p) {
    const float16x8_t halves = vreinterpretq_f16_u16(vld1q_u16(&p->bits));
    return {vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)};
  }
  template <Order>
  static Pack load(const BFloat16* p) {
    const uint16x8_t halves = vld1q_u16(&p->bits);
    return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(halves), 16)),
            vreinterpretq_f32_u32(vshll_high_n_u16(halves, 16))};
  }

  template <Order, bool>
  void store(float* p) const {
    vst1q_f32(p, a);
    vst1q_f32(p + 4, b);
  }
  template <Order, bool>
  void store(Float16* p) const {
    const float16x8_t halves = vcvt_high_f16_f32(vcvt_f16_f32(a), b);
    vst1q_u16(&p->bits, vreinterpretq_u16_f16(halves));
  }
  template <Order, bool>
  void store(BFloat16* p) const {
    vst1q_u16(&p->bits, vuzp2q_u16(rounded(a), rounded(b)));
  }

 private:
  // In the high halves of the lanes.
  static uint16x8_t rounded(float32x4_t value) {
    const uint32x4_t bits = vreinterpretq_u32_f32(value);
    // Add 0x7FFF, and 1 if the last bit that stays is odd: it is the top one after the shift.
    const uint32x4_t up = vsraq_n_u32(bits + vdupq_n_u32(0x7FFF), vshlq_n_u32(bits, 15), 31);
    const uint32x4_t number = vceqq_f32(value, value);
    return vreinterpretq_u16_u32(vbslq_u32(number, up, vdupq_n_u32(0x7FC00000)));
  }
};

template <>
struct Neon::Pack<double> {
  static constexpr int kSize = 4;
  float64x2_t a, b;

  struct Part {
    uint64x2_t a, b;
  };

  template <Order>
  static Part part(const Keep& keep, int i) {
    const uint16x8_t lanes = keep.at[i / 2];
    const uint32x4_t four = vreinterpretq_u32_u16(i % 2 == 0 ? vzip1q_u16(lanes, lanes)
                                                             : vzip2q_u16(lanes, lanes));
    return {vreinterpretq_u64_u32(vzip1q_u32(four, four)),
            vreinterpretq_u64_u32(vzip2q_u32(four, four))};
  }

  static Pack broadcast(double value) { return {vdupq_n_f64(value), vdupq_n_f64(value)}; }

  static Pack select(Part keep, Pack kept, Pack dropped) {
    return {vbslq_f64(keep.a, kept.a, dropped.a), vbslq_f64(keep.b, kept.b, dropped.b)};
  }

  template <Order>
  static Pack load(const double* p) {
    return {vld1q_f64(p), vld1q_f64(p + 2)};
  }
  template <Order, bool>
  void store(double* p) const {
    vst1q_f64(p, a);
    vst1q_f64(p + 2, b);
  }
};

constexpr Kernels kKernels = {"neon",
                              runs<Neon>,
                              keep_bits<Neon>,
                              noise_words<Neon>,
                              noise<Neon>,
                              run_noise<Neon>};

}  // namespace

const Kernels* const kNeonKernels = &kKernels;

}  // namespace torchdropout

#else

const torchdropout::Kernels* const torchdropout::kNeonKernels = nullptr;

#endif
