// Philox4x32-10 on plain integers: the same as the definition in contract/philox.py.
//
// Functions in the headers are static: a function shared by the linker between files would bring
// the instruction set of one into another.
//
// J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <cstdint>

namespace torchdropout {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;  // golden ratio
constexpr uint32_t kWeyl1 = 0xBB67AE85;  // sqrt(3) - 1
constexpr int kRounds = 10;

struct Words {
  uint32_t at[4];
};

static inline Words philox4x32(Words counter, uint32_t k0, uint32_t k1) {
  Words c = counter;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * c.at[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * c.at[2];
    c = {{static_cast<uint32_t>(product1 >> 32) ^ c.at[1] ^ k0, static_cast<uint32_t>(product1),
          static_cast<uint32_t>(product0 >> 32) ^ c.at[3] ^ k1, static_cast<uint32_t>(product0)}};
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return c;
}

}  // namespace torchdropout
