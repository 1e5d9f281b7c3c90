// The portable, readable kernel: one element at a time, for any processor.
#include <cmath>

#include "noise_run.h"
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

  template <int n>
  static void make_words(const Folded&, const Key& key, uint32_t domain, uint64_t block,
                         uint32_t* w) {
    for (int i = 0; i < n * kBlocks; ++i) {
      const Words four = block_words(key, domain, block + i, kNoiseHighMask);
      for (int place = 0; place < kPerNoiseBlock; ++place) *w++ = four.at[place];
    }
  }

  static int collect(int n, const uint32_t* words, uint32_t* rare, int32_t* places) {
    return collect_each(n, words, rare, places);
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

constexpr Kernels kKernels = {"scalar",
                              runs<Scalar>,
                              keep_bits<Scalar>,
                              noise_words<Scalar>,
                              noise<Scalar>,
                              run_noise<Scalar>};

}  // namespace

const Kernels* const kScalarKernels = &kKernels;

}  // namespace torchdropout
