// A fixed count of each group: which places come first by their words.
#include <algorithm>
#include <vector>

#include "job.h"

namespace torchdropout {
namespace {

constexpr int64_t kChunk = kNoisePiece;  // words made together

// How many places of the group come before each: by their words, and of equal words by place.
template <int fixed>
void keep_first(const uint32_t* words, int64_t groups, int any, int kept, int16_t* keep) {
  const int group = fixed > 0 ? fixed : any;
  for (int64_t g = 0; g < groups; ++g, words += group, keep += group) {
    for (int i = 0; i < group; ++i) {
      int before = 0;
      for (int j = 0; j < i; ++j) before += words[j] <= words[i];
      for (int j = i + 1; j < group; ++j) before += words[j] < words[i];
      keep[i] = static_cast<int16_t>(-(before < kept));
    }
  }
}

using KeepFirst = void (*)(const uint32_t*, int64_t, int, int, int16_t*);

KeepFirst keep_first_of(int group) {
  switch (group) {
    case 2: return keep_first<2>;
    case 4: return keep_first<4>;
    case 8: return keep_first<8>;
    default: return keep_first<0>;
  }
}

struct Chunks {
  const Kernels& kernels;
  const GroupsJob& job;
  const KeepFirst keep_first;
  const int64_t together;  // groups

  void operator()(ParallelFor parallel_for) {
    const auto work = [](void* self, int64_t begin, int64_t end) {
      static_cast<Chunks*>(self)->chunks(begin, end);
    };
    parallel_for((job.groups + together - 1) / together, 8, work, this);
  }

  void chunks(int64_t begin, int64_t end) const {
    std::vector<uint32_t> words(static_cast<size_t>(together * job.group));
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * together, at = first * job.group;
      const int64_t groups = std::min(together, job.groups - first);
      kernels.noise_words(job.key, job.domain, job.base + static_cast<uint64_t>(at),
                          groups * job.group, words.data());
      keep_first(words.data(), groups, job.group, job.kept, job.keep + at);
    }
  }
};

}  // namespace

void run(const Kernels& kernels, const GroupsJob& job, ParallelFor parallel_for) {
  Chunks{kernels, job, keep_first_of(job.group), std::max<int64_t>(1, kChunk / job.group)}(
      parallel_for);
}

}  // namespace torchdropout
