// From (key, p, mask index) to a keep bit: section 2 of docs/contract.md.
#pragma once

#include <cmath>
#include <cstdint>

#include "philox.h"

namespace torchdropout {

constexpr int kPerBlock = 8;  // mask indices that one Philox call serves
constexpr uint32_t kDomainHigh = 0;
constexpr uint32_t kDomainLow = 8;

struct Key {
  uint64_t seed;
  uint64_t stream;  // below 2**60

  static Key of(uint64_t seed, uint64_t stream) { return {seed, stream & ~uint64_t{0} >> 4}; }
};

// An element is dropped iff its 32-bit uniform is below T = round_half_even(p * 2**32). The high
// half of the uniform decides unless it equals that of T; `high` is 65536 if all is dropped.
struct Threshold {
  uint32_t high;
  uint32_t low;

  static Threshold of(double p) {
    // Exact: a product by a power of two, and nearbyint rounds half to even.
    const auto t = static_cast<uint64_t>(std::nearbyint(p * 4294967296.0));
    return {static_cast<uint32_t>(t >> 16), static_cast<uint32_t>(t & 0xFFFF)};
  }
};

// Mask indices are modulo 2**64, hence block numbers modulo 2**61.
constexpr uint32_t kBlockHighMask = 0xFFFFFFFF / kPerBlock;

// The Philox call that serves mask indices 8 * block to 8 * block + 7 in one domain.
static inline Words block_words(const Key& key, uint32_t domain, uint64_t block,
                                uint32_t high_mask = kBlockHighMask) {
  const Words counter = {{static_cast<uint32_t>(block),
                          static_cast<uint32_t>(block >> 32) & high_mask,
                          static_cast<uint32_t>(key.stream),
                          static_cast<uint32_t>(key.stream >> 32) | domain << 28}};
  return philox4x32(counter, static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32));
}

static inline uint32_t half_word(const Words& words, unsigned place) {
  return words.at[place / 2] >> (16 * (place % 2)) & 0xFFFF;
}

static inline uint32_t high_half(const Key& key, uint64_t index) {
  return half_word(block_words(key, kDomainHigh, index / kPerBlock), index % kPerBlock);
}

static inline uint32_t low_half(const Key& key, uint64_t index) {
  return half_word(block_words(key, kDomainLow, index / kPerBlock), index % kPerBlock);
}

static inline uint32_t uniform(const Key& key, uint64_t index) {
  return high_half(key, index) << 16 | low_half(key, index);
}

}  // namespace torchdropout
