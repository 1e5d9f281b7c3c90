// Noise on tensors of any strides: words, numbers and elements, a few hundred at a time.
#include <algorithm>

#include "walk.h"

namespace torchdropout {
namespace {

constexpr int64_t kGrain = 8192;  // least elements for a thread: each costs four times a mask's

constexpr int64_t kBetweenFetches = 192;  // words of one batch of AVX-512's

static_assert(kNoisePiece % kBetweenFetches == 0, "a piece consists of whole batches");
static_assert(kNoisePiece >= kGathered && kNoisePiece >= kGroup, "ways take a piece at a time");

class NoiseWalk final : public Walk {
 public:
  NoiseWalk(const Kernels& kernels, const NoiseJob& job)
      : Walk(job.type, job.type, {job.x, job.y, nullptr, nullptr, nullptr}, job.dims, false, false,
             kGrain),
        kernels_(kernels),
        job_(job),
        run_(kernels.run_noise(job.type)) {}

 private:
  struct Words {
    alignas(64) uint32_t at[kNoisePiece] = {};
  };
  struct Numbers {
    alignas(64) float at[kNoisePiece];
  };

  void indexed(const Place& at, int64_t n) const override { reused(at, n, 1); }

  void constant(const Place& start, int64_t n) const override { all_with(start, n, number(start)); }

  void repeated(const Place& at, int64_t n) const override {
    Words words;
    Numbers once, e;
    words_along(at, n, words.at);
    numbers(n, words, once);
    const int64_t times = inner().size;
    if (times > kNoisePiece || !stretches_join()) {
      for (int64_t i = 0; i < n; ++i) all_with(at.moved_by(other_, i), times, once.at[i]);
      return;
    }
    // As many stretches at a time as fit.
    const int64_t together = kNoisePiece / times;
    for (int64_t i = 0; i < n; i += together) {
      const int64_t here = std::min(together, n - i);
      for (int64_t j = 0; j < here; ++j) std::fill_n(e.at + j * times, times, once.at[i + j]);
      elements(at.moved_by(other_, i), here * times, e.at);
    }
  }

  void reused(const Place& start, int64_t n, int64_t rows) const override {
    Words words;
    Numbers e;
    // The first piece ends where a Philox call does, so that all others consist of whole ones.
    int64_t here = kNoisePiece - static_cast<int64_t>((job_.base + start.mask) % kPerNoiseBlock);
    for (int64_t i = 0; i < n; i += here, here = kNoisePiece) {
      const Place at = start.moved_by(inner(), i);
      here = std::min(here, n - i);
      for (int64_t j = 0; j < here; j += kBetweenFetches) {
        const Place part = at.moved_by(inner(), j);
        const int64_t size = std::min(kBetweenFetches, here - j);
        fetch(part, size);
        words_along_inner(part, size, words.at + j);
      }
      numbers(here, words, e);
      for (int64_t row = 0; row < rows; ++row) elements(at.moved_by(other_, row), here, e.at);
    }
  }

  void short_rows(const Place& at, int64_t n) const override {
    Words words;
    Numbers e;
    const int64_t width = inner().size;
    for (int64_t i = 0; i < n; ++i) words_along(at.moved_by(other_, i), width, words.at + i * width);
    numbers(n * width, words, e);
    for (int64_t i = 0; i < n; ++i) elements(at.moved_by(other_, i), width, e.at + i * width);
  }

  // Process squares of 64 by 64: numbers are made along the index and used across it.
  void transposed(const Place& at, int64_t n) const override {
    alignas(64) float square[kGroup][kGroup];
    Words words;
    Numbers e;
    const int64_t together = kNoisePiece / n;  // as many columns as fit
    for (int64_t start = 0; start < inner().size; start += kGroup) {
      const int64_t width = std::min<int64_t>(kGroup, inner().size - start);
      const Place corner = at.moved_by(inner(), start);
      for (int64_t j = 0; j < width; j += together) {
        const int64_t columns = std::min(together, width - j);
        for (int64_t c = 0; c < columns; ++c) {
          words_along(corner.moved_by(inner(), j + c), n, words.at + c * n);
        }
        numbers(columns * n, words, e);
        for (int64_t i = 0; i < n; ++i) {
          for (int64_t c = 0; c < columns; ++c) square[i][j + c] = e.at[c * n + i];
        }
      }
      for (int64_t k = 0; k < again_.size; ++k) {
        const Place from = corner.moved_by(again_, k);
        for (int64_t i = 0; i < n; ++i) elements(from.moved_by(other_, i), width, square[i]);
      }
    }
  }

  void gathered(const Place& at, int64_t n) const override {
    Words words;
    Numbers e;
    if (inner().mask == 0 && inner().key == 0) return all_with(at, n, number(at));
    words_along_inner(at, n, words.at);
    numbers(n, words, e);
    elements(at, n, e.at);
  }

  // Have the lines of n adjacent elements arrive while their numbers are computed. All lines of a
  // piece at once would be more than a core has in flight.
  void fetch(const Place& at, int64_t n) const {
    const Operands here = operands(at);
    for (int64_t byte = 0; byte < n * item_[Dim::kX]; byte += 64) {
      __builtin_prefetch(static_cast<const char*>(here.x) + byte, 0);
      __builtin_prefetch(static_cast<const char*>(here.y) + byte, 1);
    }
  }

  uint32_t domain() const { return static_cast<uint32_t>(job_.law); }
  const Key& key(const Place& at) const { return job_.keys[at.key]; }
  uint32_t word(const Place& at) const {
    return noise_word(key(at), domain(), job_.base + at.mask);
  }
  void words_along(const Place& at, int64_t n, uint32_t* words) const {
    kernels_.noise_words(key(at), domain(), job_.base + at.mask, n, words);
  }
  void words_along_inner(const Place& at, int64_t n, uint32_t* words) const {
    if (runs_along_mask(inner())) return words_along(at, n, words);
    for (int64_t i = 0; i < n; ++i) words[i] = word(at.moved_by(inner(), i));
  }
  void numbers(int64_t n, const Words& words, Numbers& e) const {
    kernels_.noise(job_.law, n, words.at, e.at);
  }
  float number(const Place& at) const {
    Words words;
    Numbers e;
    words.at[0] = word(at);
    numbers(1, words, e);
    return e.at[0];
  }
  // Elements of the innermost dimension that share a number.
  void all_with(const Place& start, int64_t n, float number) const {
    Numbers e;
    std::fill_n(e.at, std::min(kNoisePiece, n), number);
    for (int64_t i = 0; i < n; i += kNoisePiece) {
      elements(start.moved_by(inner(), i), std::min(kNoisePiece, n - i), e.at);
    }
  }
  // n elements at the strides of the innermost dimension.
  void elements(const Place& start, int64_t n, const float* e) const {
    const Operands here = operands(start);
    if (contiguous(inner())) return run_(job_.affine, here.x, here.y, n, e);
    alignas(64) char x[kGathered * sizeof(double)], y[kGathered * sizeof(double)];
    const int64_t item = item_[Dim::kX];
    for (int64_t i = 0; i < n; i += kGathered) {
      const Place at = start.moved_by(inner(), i);
      const int64_t some = std::min(kGathered, n - i);
      copy(item, x, item, address(Dim::kX, at), inner().stride[Dim::kX], some);
      run_(job_.affine, x, y, some, e + i);
      copy(item, operands(at).y, inner().stride[Dim::kY], y, item, some);
    }
  }

  const Kernels& kernels_;
  const NoiseJob& job_;
  const RunNoise run_;
};

}  // namespace

void run(const Kernels& kernels, const NoiseJob& job, ParallelFor parallel_for) {
  NoiseWalk(kernels, job)(parallel_for);
}

}  // namespace torchdropout
