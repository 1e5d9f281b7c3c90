#include <algorithm>
#include <cstring>
#include <vector>

#include "job.h"
#include "types.h"

namespace torchdropout {
namespace {

constexpr int64_t kRows = 256;  // summed one after the other in the compute type
constexpr int64_t kGrain = 32768;

template <class C>
struct Sums {
  const Kernels& kernels;
  const SumsJob& job;
  const Runs runs;
  std::vector<C> partial;  // (blocks, columns)

  Sums(const Kernels& kernels, const SumsJob& job)
      : kernels(kernels),
        job(job),
        runs(kernels.runs(Op::kSum, job.x_type, job.y_type)),
        partial(static_cast<size_t>(blocks() * job.columns)) {}

  int64_t blocks() const { return (job.rows + kRows - 1) / kRows; }

  void operator()(ParallelFor parallel_for) {
    const auto of_rows = [](void* self, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) static_cast<Sums*>(self)->block(i);
    };
    const auto of_columns = [](void* self, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) static_cast<Sums*>(self)->column(i);
    };
    parallel_for(blocks(), std::max<int64_t>(1, kGrain / (kRows * job.columns)), of_rows, this);
    parallel_for(job.columns, std::max<int64_t>(1, kGrain / blocks()), of_columns, this);
  }

  void block(int64_t number) {
    C* const sums = partial.data() + number * job.columns;
    for (int64_t row = number * kRows; row < std::min(job.rows, (number + 1) * kRows); ++row) {
      const int64_t first = row * job.columns;
      const Operands at = {static_cast<const char*>(job.x) + first * item_size(job.x_type),
                           static_cast<char*>(job.y) + first * item_size(job.y_type), nullptr,
                           nullptr, sums};
      IndexedMask mask = job.mask;
      mask.index += static_cast<uint64_t>(first);
      runs.indexed({job.scale, 0.0, 0.0}, at, job.columns, mask, false);
    }
  }

  void column(int64_t number) {
    double sum = 0.0;
    for (int64_t i = 0; i < blocks(); ++i) sum += partial[i * job.columns + number];
    static_cast<C*>(job.sums)[number] = static_cast<C>(sum);
  }
};

}  // namespace

void run(const Kernels& kernels, const SumsJob& job, ParallelFor parallel_for) {
  if (job.mask.threshold.high > 0xFFFF) {  // nothing is kept
    std::memset(job.y, 0, static_cast<size_t>(job.rows * job.columns * item_size(job.y_type)));
  }
  if (job.rows == 0 || job.columns == 0 || job.mask.threshold.high > 0xFFFF) {
    const int64_t size = job.x_type == DType::kFloat64 ? sizeof(double) : sizeof(float);
    std::memset(job.sums, 0, static_cast<size_t>(job.columns * size));
    return;
  }
  if (job.x_type == DType::kFloat64) {
    Sums<double>(kernels, job)(parallel_for);
  } else {
    Sums<float>(kernels, job)(parallel_for);
  }
}

}  // namespace torchdropout
