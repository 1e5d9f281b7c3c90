// DropBlock: keep bits of seeds, grown to blocks by shifting words, and dropout by the result.
#include <algorithm>

#include "job.h"

namespace torchdropout {
namespace {

constexpr int64_t kGrain = 32768;    // the least number of elements for a thread
constexpr int64_t kTogether = 1024;  // the least number of elements for a call of a run

// Appends consecutive keep bits to words.
class Bits {
 public:
  explicit Bits(uint64_t* words) : words_(words) {}
  ~Bits() {
    if (size_ > 0) *words_ = word_;
  }

  // Up to 64; past the count they are 0.
  void append(uint64_t bits, int count) {
    word_ |= bits << size_;
    size_ += count;
    if (size_ < kGroup) return;
    *words_++ = word_;
    size_ -= kGroup;
    word_ = size_ == 0 ? 0 : bits >> (count - size_);
  }

  void append(const uint64_t* words, int64_t count) {
    for (; count > 0; count -= kGroup) {
      const int here = static_cast<int>(std::min<int64_t>(count, kGroup));
      append(*words++ & ~uint64_t{0} >> (kGroup - here), here);
    }
  }

 private:
  uint64_t* words_;
  uint64_t word_ = 0;
  int size_ = 0;
};

// The 64 bits from a place on.
uint64_t bits_at(const uint64_t* words, int64_t place) {
  const int64_t word = place / kGroup;
  const int shift = static_cast<int>(place % kGroup);
  return shift == 0 ? words[word] : words[word] >> shift | words[word + 1] << (kGroup - shift);
}

// ANDs `count` in a row, in log2(count) steps, if `and_with(step)` ANDs each one with that `step`
// further on.
template <class AndWith>
void and_of_next(int64_t count, const AndWith& and_with) {
  for (int64_t width = 1; width < count;) {
    const int64_t step = std::min(width, count - width);
    and_with(step);
    width += step;
  }
}

// The keep bits of one plane, a map of the block's dimensions. A place is kept where all seeds from
// it to `block - 1` further along each dimension are.
class Plane {
 public:
  Plane(const Kernels& kernels, const BlocksJob& job)
      : kernels_(kernels),
        job_(job),
        width_(job.sizes.back() + job.block - 1),
        words_(width_ / kGroup + 1) {
    for (size_t d = 0; d + 1 < job.sizes.size(); ++d) rows_ *= job.sizes[d] + job.block - 1;
    seeds_.resize(static_cast<size_t>(rows_ * width_ / kGroup + words_ + 2));
    kept_.resize(static_cast<size_t>(rows_ * words_));
    int64_t places = 1;
    for (int64_t size : job.sizes) places *= size;
    bits_.resize(static_cast<size_t>(places / kGroup + 1));
  }

  const uint64_t* at(uint64_t index) {
    if (made_ && index == index_) return bits_.data();  // shared by the following planes
    kernels_.keep_bits({job_.key, job_.threshold, index}, rows_ * width_, seeds_.data());
    for (int64_t row = 0; row < rows_; ++row) along_row(row);
    int64_t rows_apart = 1;
    for (size_t d = job_.sizes.size() - 1; d-- > 0;) {
      and_of_next(job_.block, [&](int64_t step) { across_rows(step * rows_apart); });
      rows_apart *= job_.sizes[d] + job_.block - 1;
    }
    collect();
    made_ = true;
    index_ = index;
    return bits_.data();
  }

 private:
  // Past the row's end its words hold the bits after it, which reach no place of the map.
  void along_row(int64_t row) {
    uint64_t* const words = &kept_[static_cast<size_t>(row * words_)];
    for (int64_t w = 0; w < words_; ++w) {
      words[w] = bits_at(seeds_.data(), row * width_ + w * kGroup);
    }
    and_of_next(job_.block, [&](int64_t step) {
      const int64_t far = step / kGroup;
      const int shift = static_cast<int>(step % kGroup);
      for (int64_t w = 0; w + far < words_; ++w) {
        uint64_t later = words[w + far] >> shift;
        if (shift > 0 && w + far + 1 < words_) later |= words[w + far + 1] << (kGroup - shift);
        words[w] &= later;
      }
    });
  }

  void across_rows(int64_t step) {
    uint64_t* const words = kept_.data();
    for (int64_t i = 0; i < (rows_ - step) * words_; ++i) words[i] &= words[i + step * words_];
  }

  void collect() {
    Bits bits(bits_.data());
    const size_t outer = job_.sizes.size() - 1;
    int64_t place[kMostDims] = {};
    for (;;) {
      int64_t row = 0;
      for (size_t d = 0; d < outer; ++d) row = row * (job_.sizes[d] + job_.block - 1) + place[d];
      bits.append(&kept_[static_cast<size_t>(row * words_)], job_.sizes.back());
      size_t d = outer;
      while (d-- > 0 && ++place[d] == job_.sizes[d]) place[d] = 0;
      if (d == static_cast<size_t>(-1)) return;
    }
  }

  static constexpr int kMostDims = 8;

  const Kernels& kernels_;
  const BlocksJob& job_;
  const int64_t width_;  // size of a row of seeds
  const int64_t words_;  // number of words that its bits take
  int64_t rows_ = 1;
  std::vector<uint64_t> seeds_, kept_, bits_;
  bool made_ = false;
  uint64_t index_ = 0;
};

struct Planes {
  const Kernels& kernels;
  const BlocksJob& job;
  int64_t planes = 1, places = 1;

  Planes(const Kernels& kernels, const BlocksJob& job) : kernels(kernels), job(job) {
    for (const BlocksJob::Outer& outer : job.outer) planes *= outer.size;
    for (int64_t size : job.sizes) places *= size;
  }

  void operator()(ParallelFor parallel_for) {
    if (planes == 0 || places == 0) return;
    const auto work = [](void* self, int64_t begin, int64_t end) {
      static_cast<const Planes*>(self)->work(begin, end);
    };
    parallel_for(planes, std::max<int64_t>(1, kGrain / places), work, this);
  }

  void work(int64_t begin, int64_t end) const {
    const RunBits drop = kernels.runs(Op::kScale, job.type, job.type).bits;
    const int64_t bytes = places * item_size(job.type);
    const int64_t together = std::max<int64_t>(1, kTogether / places);
    std::vector<uint64_t> several(static_cast<size_t>(together * places / kGroup + 1));
    Plane plane(kernels, job);
    for (int64_t first = begin; first < end; first += together) {
      const int64_t n = std::min(together, end - first);
      const uint64_t* bits = several.data();
      if (n == 1) {
        bits = plane.at(index_of(first));
      } else {
        Bits all(several.data());
        for (int64_t i = 0; i < n; ++i) all.append(plane.at(index_of(first + i)), places);
      }
      const Operands operands = {static_cast<const char*>(job.x) + first * bytes,
                                 static_cast<char*>(job.y) + first * bytes, nullptr, nullptr,
                                 nullptr};
      drop({job.scale, 0.0, 0.0}, operands, n * places, bits, false);
    }
  }

  uint64_t index_of(int64_t number) const {
    uint64_t index = job.base;
    for (auto outer = job.outer.rbegin(); outer != job.outer.rend(); ++outer) {
      index += static_cast<uint64_t>(number % outer->size) * outer->stride;
      number /= outer->size;
    }
    return index;
  }
};

}  // namespace

void run(const Kernels& kernels, const BlocksJob& job, ParallelFor parallel_for) {
  Planes(kernels, job)(parallel_for);
}

}  // namespace torchdropout
