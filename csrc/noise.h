// From (key, distribution, index) to a number of continuous noise: section 7 of docs/contract.md.
//
// Every operation is an IEEE 754 operation in float, rounded by itself, in the order of
// contract/noise.py.
#pragma once

#include <cstdint>

#include "keep.h"

namespace torchdropout {

// The standard distributions; the value of each is its domain of Philox counters.
enum class Law : uint32_t {
  kUniform = 1,   // on (-1, 1)
  kNormal = 2,    // mean 0 and variance 1
  kLogistic = 3,  // log(u / (1 - u)) of a uniform u
};

constexpr int kPerNoiseBlock = 4;  // indices that one Philox call serves, with a word each
constexpr uint32_t kNoiseHighMask = 0xFFFFFFFF / kPerNoiseBlock;

// The 32-bit number of an index.
static inline uint32_t noise_word(const Key& key, uint32_t domain, uint64_t index) {
  return block_words(key, domain, index / kPerNoiseBlock, kNoiseHighMask).at[index % kPerNoiseBlock];
}

// The coefficients of contract/noise.py, which says where they come from.
constexpr int32_t kCentral = 0x74800000;  // offsets from 1/2 below it are in the central region
constexpr int32_t kRareFrom = static_cast<int32_t>(2u * kCentral - 0x80000000);
constexpr float kSquare = 0.828125f;
constexpr float kA[] = {1.8631256f, 10.475709f, 11.887786f, 1.474207f};
constexpr float kB[] = {1.0f, 6.728465f, 10.625334f, 3.0327263f};
constexpr float kC[] = {2.658096f, 1.9847062f, 0.12814666f};
constexpr float kD[] = {1.0f, 2.0938668f, 0.64554167f, 0.022134762f};
constexpr float kLog[] = {2.0f, 0.6666682f, 0.39973605f, 0.29961267f};
// ln 2 in two parts, so that the product of an exponent and the first is exact.
constexpr float kLn2High = 0.693145751953125f;
constexpr float kLn2Low = 1.4286068e-06f;
constexpr int32_t kRootHalf = 0x3F3504F3;  // the bits of sqrt(1/2)

}  // namespace torchdropout
