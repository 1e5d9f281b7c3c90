// The function of a set of kernels that makes keep bits, for `operations.py`, which builds this with the
// one file of csrc/ that has the set. KERNELS: the name of its table.
#include "kernels.h"

extern "C" __attribute__((visibility("default"))) void keep_bits(uint64_t seed, double p, int64_t n,
                                                                 uint64_t* bits) {
  using namespace torchdropout;
  KERNELS->keep_bits({{seed, 0}, Threshold::of(p), 0}, n, bits);
}
