// From (key, distribution, index) to a number of continuous noise: section 7 of docs/contract.md.
//
// Every operation is an IEEE 754 operation in double, rounded by itself, in the order of
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

// M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
// Statistics 37 (1988), PPND16. Its third region begins at u = 1.4e-11, which 33 bits do not reach.
constexpr double kSplit = 0.425;
constexpr double kA[] = {
    3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
    1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
    3.3430575583588128105e4, 2.5090809287301226727e3,
};
constexpr double kB[] = {
    1.0,
    4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
    2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
    5.2264952788528545610e3,
};
constexpr double kC[] = {
    1.42343711074968357734e0,  4.63033784615654529590e0,  5.76949722146069140550e0,
    3.64784832476320460504e0,  1.27045825245236838258e0,  2.41780725177450611770e-1,
    2.27238449892691845833e-2, 7.74545014278341407640e-4,
};
constexpr double kD[] = {
    1.0,
    2.05319162663775882187e0,  1.67638483018380384940e0,  6.89767334985100004550e-1,
    1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
    1.05075007164441684324e-9,
};

// The logarithm of FreeBSD's msun (e_log.c, after Sun's fdlibm). ln 2 is in two parts, so that the
// product of an exponent and the first is exact.
constexpr double kLn2 = 6.93147180559945286227e-01;
constexpr double kLn2High = 6.93147180369123816490e-01;
constexpr double kLn2Low = 1.90821492927058770002e-10;
constexpr double kLog[] = {
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
    2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
    1.479819860511658591e-01,
};
constexpr uint64_t kRootHalf = 0x3FE6A09E667F3BCD;  // the bits of sqrt(1/2)

}  // namespace torchdropout
