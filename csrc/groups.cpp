// A fixed count of each group: the places that come first by their words, and dropout of the rest.
#include <algorithm>
#include <cstring>
#include <vector>

#include "job.h"

namespace torchdropout {
namespace {

constexpr int kSide = 32;     // groups that are compared in parallel, in vectors
constexpr int kLargest = 64;  // largest size of a group

// keep = 1 or 0. A place is kept if fewer than `kept` of its group come before it, ordered by word,
// and equal words by place. For a fixed size the loops over places are unrolled.
template <int fixed>
void keep_first(const uint32_t* words, int64_t groups, int any, int kept, uint8_t* keep) {
  const int group = fixed > 0 ? fixed : any;
  int32_t at[fixed > 0 ? fixed : kLargest][kSide] = {};
  int32_t before[fixed > 0 ? fixed : kLargest][kSide];
  for (int64_t start = 0; start < groups; start += kSide) {
    const int n = static_cast<int>(std::min<int64_t>(kSide, groups - start));
    for (int g = 0; g < n; ++g) {
      // In the order of signed numbers, which all processors can compare in vectors.
      for (int i = 0; i < group; ++i) {
        at[i][g] = static_cast<int32_t>(words[g * group + i] ^ 0x80000000);
      }
    }
    for (int i = 0; i < group; ++i) std::fill_n(before[i], kSide, i);
    for (int j = 1; j < group; ++j) {
      for (int i = 0; i < j; ++i) {
        for (int g = 0; g < kSide; ++g) {
          const int32_t later = at[i][g] > at[j][g];
          before[j][g] -= later;
          before[i][g] += later;
        }
      }
    }
    for (int i = 0; i < group; ++i) {
      for (int g = 0; g < kSide; ++g) before[i][g] = before[i][g] < kept;
    }
    for (int g = 0; g < n; ++g) {
      for (int i = 0; i < group; ++i) keep[g * group + i] = static_cast<uint8_t>(before[i][g]);
    }
    words += n * group;
    keep += n * group;
  }
}

using KeepFirst = void (*)(const uint32_t*, int64_t, int, int, uint8_t*);

KeepFirst keep_first_of(int group) {
  switch (group) {
    case 2: return keep_first<2>;
    case 4: return keep_first<4>;
    case 8: return keep_first<8>;
    default: return keep_first<0>;
  }
}

// A bit for each of n bytes of 1 or 0, n a multiple of 8: byte k of eight has bit 8 k, and goes to
// bit 56 + k, where no other product is.
void pack(const uint8_t* bytes, int64_t n, uint64_t* bits) {
  for (int64_t i = 0; i < n; i += 8) {
    uint64_t eight;
    std::memcpy(&eight, bytes + i, sizeof eight);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    eight = __builtin_bswap64(eight);
#endif
    const uint64_t packed = eight * 0x0102040810204080 >> 56;
    const int shift = static_cast<int>(i % kGroup);
    bits[i / kGroup] = (shift == 0 ? 0 : bits[i / kGroup]) | packed << shift;
  }
}

struct Chunks {
  const Kernels& kernels;
  const GroupsJob& job;
  const KeepFirst keep_first;
  const RunBits drop;
  const int64_t item;
  const int64_t together;  // groups

  void operator()(ParallelFor parallel_for) {
    const auto work = [](void* self, int64_t begin, int64_t end) {
      static_cast<Chunks*>(self)->chunks(begin, end);
    };
    parallel_for((job.groups + together - 1) / together, 8, work, this);
  }

  void chunks(int64_t begin, int64_t end) const {
    uint32_t words[kNoisePiece];
    uint8_t keep[kNoisePiece] = {};
    uint64_t bits[kNoisePiece / kGroup];
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * together, at = first * job.group;
      const int64_t groups = std::min(together, job.groups - first), n = groups * job.group;
      kernels.noise_words(job.key, job.domain, job.base + static_cast<uint64_t>(at), n, words);
      keep_first(words, groups, job.group, job.kept, keep);
      pack(keep, (n + 7) / 8 * 8, bits);
      const Operands operands = {static_cast<const char*>(job.x) + at * item,
                                 static_cast<char*>(job.y) + at * item, nullptr, nullptr, nullptr};
      drop({job.scale, 0.0, 0.0}, operands, n, bits, false);
    }
  }
};

struct Rows {
  const Kernels& kernels;
  const PlacesJob& job;

  void operator()(ParallelFor parallel_for) {
    const auto work = [](void* self, int64_t begin, int64_t end) {
      static_cast<Rows*>(self)->rows(begin, end);
    };
    parallel_for(job.rows, std::max<int64_t>(1, 2048 / job.size), work, this);
  }

  void rows(int64_t begin, int64_t end) const {
    std::vector<uint64_t> numbers(static_cast<size_t>(job.size));
    for (int64_t row = begin; row < end; ++row) {
      number(row * job.size, numbers.data());
      const auto first = numbers.begin(), last = first + job.kept;
      if (job.kept < job.size) std::nth_element(first, last, numbers.end());
      int64_t* places = job.places + row * job.kept;
      if (!job.ascending) std::sort(first, last);
      for (auto kept = first; kept != last; ++kept) *places++ = *kept & 0xFFFFFFFF;
      if (job.ascending) std::sort(places - job.kept, places);
    }
  }

  // Word and place combined into one number, unique in its row.
  void number(int64_t start, uint64_t* numbers) const {
    uint32_t words[kNoisePiece];
    for (int64_t i = 0; i < job.size; i += kNoisePiece) {
      const int64_t n = std::min(kNoisePiece, job.size - i);
      kernels.noise_words(job.key, job.domain, job.base + static_cast<uint64_t>(start + i), n,
                          words);
      for (int64_t j = 0; j < n; ++j) {
        numbers[i + j] = uint64_t{words[j]} << 32 | static_cast<uint64_t>(i + j);
      }
    }
  }
};

}  // namespace

void run(const Kernels& kernels, const PlacesJob& job, ParallelFor parallel_for) {
  Rows{kernels, job}(parallel_for);
}

void run(const Kernels& kernels, const GroupsJob& job, ParallelFor parallel_for) {
  static_assert(kNoisePiece % kGroup == 0, "keep bits fill whole words");
  Chunks{kernels, job, keep_first_of(job.group), kernels.runs(Op::kScale, job.type, job.type).bits,
         item_size(job.type), kNoisePiece / job.group}(parallel_for);
}

}  // namespace torchdropout
