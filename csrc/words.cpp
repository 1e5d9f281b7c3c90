// Dropout by a mask that lies in memory: what DropBlock's blocks leave.
#include <algorithm>
#include <cstring>

#include "job.h"

namespace torchdropout {
namespace {

constexpr int64_t kGrain = 32768;

template <class T, class Bits>
struct Rows {
  const WordsJob& job;
  const std::vector<WordsJob::Dim> outer;
  const int64_t length;

  explicit Rows(const WordsJob& job)
      : job(job),
        outer(job.dims.begin(), job.dims.end() - 1),
        length(job.dims.back().size) {}

  void operator()(ParallelFor parallel_for) {
    int64_t rows = 1;
    for (const WordsJob::Dim& dim : outer) rows *= dim.size;
    const auto work = [](void* self, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) static_cast<Rows*>(self)->row(i);
    };
    parallel_for(rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, length)), work, this);
  }

  void row(int64_t number) const {
    const int64_t first = number * length;
    const int16_t* words = job.words;
    for (auto dim = outer.rbegin(); dim != outer.rend(); ++dim) {
      words += number % dim->size * dim->stride;
      number /= dim->size;
    }
    const T* x = static_cast<const T*>(job.x) + first;
    T* y = static_cast<T*>(job.y) + first;
    const T scale = static_cast<T>(job.scale);
    if (job.dims.back().stride == 0) {
      const Bits all = static_cast<Bits>(*words);
      for (int64_t i = 0; i < length; ++i) y[i] = masked(x[i] * scale, all);
    } else {
      for (int64_t i = 0; i < length; ++i) y[i] = masked(x[i] * scale, static_cast<Bits>(words[i]));
    }
  }

  // A select and no product: a NaN is gone where it was dropped.
  static T masked(T value, Bits word) {
    Bits bits;
    std::memcpy(&bits, &value, sizeof bits);
    bits &= word;
    std::memcpy(&value, &bits, sizeof bits);
    return value;
  }
};

}  // namespace

void WordsJob::add_dim(int64_t size, int64_t stride) {
  if (size == 1) return;
  if (!dims.empty() && dims.back().stride == stride * size) {
    dims.back() = {dims.back().size * size, stride};
  } else {
    dims.push_back({size, stride});
  }
}

bool run(const WordsJob& given, ParallelFor parallel_for) {
  WordsJob job = given;
  if (job.dims.empty() || job.dims.back().stride > 1) job.dims.push_back({1, 0});
  if (job.dims.back().size == 1 && job.dims.size() > 1) return false;  // words far apart
  if (job.type == DType::kFloat32) {
    Rows<float, int32_t>{job}(parallel_for);
  } else if (job.type == DType::kFloat64) {
    Rows<double, int64_t>{job}(parallel_for);
  } else {
    return false;
  }
  return true;
}

}  // namespace torchdropout
