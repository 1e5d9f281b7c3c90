// The portable kernel, one element at a time: the readable one, for any processor.
#include "run.h"

namespace torchdropout {
namespace {

struct Scalar {
  using Keep = uint64_t;
  static constexpr int kBatch = 1;

  template <class C>
  struct Pack {
    static constexpr int kSize = 1;
    C value;
  };

  template <int n>
  static void make_keep(const Folded&, const IndexedMask& mask, uint64_t block, Keep* keep) {
    for (int group = 0; group < n; ++group, block += kGroup / kPerBlock) {
      uint64_t bits = 0, ties = 0;
      for (int i = 0; i < kGroup; i += kPerBlock) {
        const Words words = block_words(mask.key, kDomainHigh, block + i / kPerBlock);
        for (int place = 0; place < kPerBlock; ++place) {
          const uint32_t high = half_word(words, place);
          bits |= uint64_t{high >= mask.threshold.high} << (i + place);
          ties |= uint64_t{high == mask.threshold.high} << (i + place);
        }
      }
      keep[group] = drop_ties(mask, block, bits, ties);
    }
  }

  static Keep from_bits(uint64_t bits) { return bits; }
  static uint64_t to_bits(Keep keep) { return keep; }

  template <Order, class C>
  static bool keep_of(Keep keep, int i) {
    return keep >> i & 1;
  }

  template <Order, class C, class T>
  static Pack<C> load(const T* p) {
    return {widen(*p)};
  }
  template <Order, bool, class C, class T>
  static void store(T* p, Pack<C> pack) {
    *p = narrow<T>(pack.value);
  }

  static void fence() {}  // its stores are ordinary ones
  template <class C>
  static Pack<C> broadcast(C value) {
    return {value};
  }
  template <class C>
  static Pack<C> add(Pack<C> a, Pack<C> b) {
    return {a.value + b.value};
  }
  template <class C>
  static Pack<C> multiply(Pack<C> a, Pack<C> b) {
    return {a.value * b.value};
  }
  template <class C>
  static Pack<C> select(bool keep, Pack<C> kept, Pack<C> dropped) {
    return keep ? kept : dropped;
  }
};

constexpr Kernels kKernels = {"scalar", runs<Scalar>, keep_bits<Scalar>};

}  // namespace

const Kernels* const kScalarKernels = &kKernels;

}  // namespace torchdropout
