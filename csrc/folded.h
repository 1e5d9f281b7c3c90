// Philox with everything that does not depend on the low word of the counter precomputed.
#pragma once

#include <cstdint>

#include "keep.h"

namespace torchdropout {

// One per file: a constructor shared by the linker would bring one instruction set into another.
namespace {

// Blocks whose numbers share their high half differ in one counter word. The first two rounds then
// are one product each (kMultiplier0 and 1 are M0 and M1, `hi` and `lo` the halves of a product):
//   round 0:  p = M0 * c0;   c2 = hi(p) ^ second;   c3 = lo(p)
//   round 1:  q = M1 * c2;   c0 = hi(q) ^ third;    c1 = lo(q);   c2 = c3 ^ fourth;   c3 constant
// The constant c3 of round 1 is folded into key1[0]: rounds 2 to 9 run with key0 and key1.
struct Folded {
  static constexpr int kLeft = kRounds - 2;
  uint32_t second, third, fourth;
  uint32_t key0[kLeft], key1[kLeft];

  Folded(const Key& key, uint32_t block_high, uint32_t high_mask = kBlockHighMask,
         uint32_t domain = kDomainHigh) {
    uint32_t k0 = static_cast<uint32_t>(key.seed);
    uint32_t k1 = static_cast<uint32_t>(key.seed >> 32);
    const auto c2 = static_cast<uint32_t>(key.stream);
    const uint32_t c3 = static_cast<uint32_t>(key.stream >> 32) | domain << 28;
    const uint64_t product1 = uint64_t{kMultiplier1} * c2;
    const uint32_t c0 =
        static_cast<uint32_t>(product1 >> 32) ^ (block_high & high_mask) ^ k0;
    const auto c1 = static_cast<uint32_t>(product1);
    second = c3 ^ k1;
    k0 += kWeyl0;
    k1 += kWeyl1;
    const uint64_t product0 = uint64_t{kMultiplier0} * c0;
    third = c1 ^ k0;
    fourth = static_cast<uint32_t>(product0 >> 32) ^ k1;
    for (int i = 0; i < kLeft; ++i) {
      k0 += kWeyl0;
      k1 += kWeyl1;
      key0[i] = k0;
      key1[i] = k1;
    }
    key1[0] ^= static_cast<uint32_t>(product0);
  }
};

}  // namespace
}  // namespace torchdropout
