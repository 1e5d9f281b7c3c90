#include "job.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace torchdropout {
namespace {

constexpr int64_t kGrain = 32768;    // elements worth a thread
constexpr int64_t kPiece = 4096;     // elements of a run that are handed out together
constexpr int64_t kGathered = 512;   // elements that go through buffers together
constexpr int64_t kStreamingBytes = int64_t{32} << 20;
constexpr int64_t kMaxRepeat = 64;

const uint64_t* constant_bits(bool keep) {
  static const std::vector<uint64_t> kept(kPiece / kGroup, ~uint64_t{0});
  static const std::vector<uint64_t> dropped(kPiece / kGroup, 0);
  return keep ? kept.data() : dropped.data();
}

// True if y is large and its pages are there. Writing past the caches spares reading what is to be
// overwritten; on pages that are still to be mapped it only adds to the cost of mapping them.
bool worth_streaming(const void* y, int64_t bytes) {
#ifdef __linux__
  if (bytes < kStreamingBytes) return false;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(y);
  for (int i = 0; i < 4; ++i) {
    const uintptr_t at = first + static_cast<uintptr_t>(bytes - 1) / 3 * i;
    unsigned char resident = 0;
    if (mincore(reinterpret_cast<void*>(at / page * page), 1, &resident) != 0 || !(resident & 1)) {
      return false;
    }
  }
  return true;
#else
  return false;
#endif
}

template <class T>
T* moved(T* p, int64_t bytes) {
  using Byte = std::conditional_t<std::is_const<T>::value, const char, char>;
  return p == nullptr ? nullptr : reinterpret_cast<Byte*>(p) + bytes;
}

// Where the element at some coordinates is.
struct Place {
  int64_t offset[Dim::kOperands] = {};
  uint64_t mask = 0;
  int64_t key = 0;

  Place moved_by(const Dim& dim, int64_t steps) const {
    Place place = *this;
    for (int i = 0; i < Dim::kOperands; ++i) place.offset[i] += dim.stride[i] * steps;
    place.mask += dim.mask * static_cast<uint64_t>(steps);
    place.key += dim.key * steps;
    return place;
  }
};

class Walk {
 public:
  Walk(const Kernels& kernels, const Job& job)
      : kernels_(kernels),
        job_(job),
        runs_(kernels.runs(job.op, job.x_type, job.y_type)),
        dims_(job.dims) {
    item_[Dim::kX] = item_size(job.x_type);
    item_[Dim::kY] = item_size(job.y_type);
    item_[Dim::kResidual] = item_[Dim::kY];
    item_[Dim::kBias] = job.y_type == DType::kFloat64 ? 8 : 4;
    used_[Dim::kX] = used_[Dim::kY] = true;
    used_[Dim::kResidual] = job.op == Op::kAdd || job.op == Op::kAddBias;
    used_[Dim::kBias] = job.op == Op::kAddBias;
    simplify();
    plan();
  }

  void operator()(ParallelFor parallel_for) {
    int64_t items = pieces_;
    for (const Dim& dim : outer_) items *= dim.size;
    int64_t elements = 1;
    for (const Dim& dim : dims_) elements *= dim.size;
    if (elements == 0) return;
    streaming_ = job_.at.x != job_.at.y && worth_streaming(job_.at.y, elements * item_[Dim::kY]);
    const int64_t grain = std::max<int64_t>(1, kGrain * items / elements);
    if (items <= grain) return work(0, items);
    parallel_for(
        items, grain,
        [](void* self, int64_t begin, int64_t end) {
          static_cast<const Walk*>(self)->work(begin, end);
        },
        this);
  }

 private:
  // How the innermost dimension is gone through.
  enum class Way {
    kIndexed,     // mask indices follow one another as the elements do in memory
    kConstant,    // one keep bit for all
    kRepeated,    // short constant stretches, side by side: bits of the dimension around, repeated
    kTransposed,  // mask indices follow one another along another dimension
    kGathered,    // whatever is left
  };

  Dim& inner() { return dims_.back(); }
  const Dim& inner() const { return dims_.back(); }

  bool contiguous(const Dim& dim, int64_t times = 1) const {
    for (int i = 0; i < Dim::kOperands; ++i) {
      if (used_[i] && dim.stride[i] != item_[i] * times) return false;
    }
    return true;
  }

  // In the order of y's memory, and neighbours that are one dimension in everything made one.
  void simplify() {
    if (dims_.size() == 1 && dims_[0].size != 1) return;  // small calls come here: nothing to do
    dims_.erase(std::remove_if(dims_.begin(), dims_.end(), [](const Dim& d) { return d.size == 1; }),
                dims_.end());
    std::stable_sort(dims_.begin(), dims_.end(), [](const Dim& a, const Dim& b) {
      return a.stride[Dim::kY] > b.stride[Dim::kY];
    });
    std::vector<Dim> merged;
    for (const Dim& dim : dims_) {
      if (!merged.empty() && joins(merged.back(), dim)) {
        const int64_t size = merged.back().size * dim.size;
        merged.back() = dim;
        merged.back().size = size;
      } else {
        merged.push_back(dim);
      }
    }
    if (merged.empty()) {  // a single element
      Dim one = {1, {}, 1, 0};
      std::copy(item_, item_ + Dim::kOperands, one.stride);
      merged.push_back(one);
    }
    dims_ = merged;
  }

  bool joins(const Dim& outer, const Dim& dim) const {
    for (int i = 0; i < Dim::kOperands; ++i) {
      if (used_[i] && outer.stride[i] != dim.stride[i] * dim.size) return false;
    }
    return outer.mask == dim.mask * static_cast<uint64_t>(dim.size) &&
           outer.key == dim.key * dim.size;
  }

  void plan() {
    way_ = way();
    outer_.assign(dims_.begin(), dims_.end() - 1);
    if (way_ == Way::kRepeated) {
      other_ = outer_.back();
      outer_.pop_back();
    } else if (way_ == Way::kTransposed) {
      const auto at = std::find_if(outer_.begin(), outer_.end(), runs_along_mask);
      other_ = *at;
      outer_.erase(at);
    }
    piece_ = way_ == Way::kGathered     ? kGathered
             : way_ == Way::kRepeated   ? kGroup
             : way_ == Way::kTransposed ? kGroup
                                        : kPiece;
    const bool along_other = way_ == Way::kRepeated || way_ == Way::kTransposed;
    length_ = along_other ? other_.size : inner().size;
    pieces_ = (length_ + piece_ - 1) / piece_;
  }

  static bool runs_along_mask(const Dim& dim) { return dim.mask == 1 && dim.key == 0; }

  Way way() const {
    const Dim& dim = inner();
    if (!contiguous(dim) || dim.key != 0) return Way::kGathered;
    if (dim.mask == 1) return Way::kIndexed;
    const auto outer_end = dims_.end() - 1;
    if (dim.mask == 0) {
      const bool repeats = dims_.size() > 1 && dim.size <= kMaxRepeat &&
                           runs_along_mask(*(outer_end - 1)) &&
                           contiguous(*(outer_end - 1), dim.size);
      return repeats ? Way::kRepeated : Way::kConstant;
    }
    return std::any_of(dims_.begin(), outer_end, runs_along_mask) ? Way::kTransposed
                                                                  : Way::kGathered;
  }

  void work(int64_t begin, int64_t end) const {
    while (begin < end) {
      const int64_t first = begin % pieces_;
      const int64_t last = std::min(pieces_, first + end - begin);
      const int64_t start = first * piece_;
      pieces(row(begin / pieces_), start, std::min(last * piece_, length_) - start);
      begin += last - first;
    }
  }

  // The first element of a row: a stretch of the innermost dimension (and the other one).
  Place row(int64_t number) const {
    Place place;
    for (auto dim = outer_.rbegin(); dim != outer_.rend(); ++dim) {
      place = place.moved_by(*dim, number % dim->size);
      number /= dim->size;
    }
    return place;
  }

  void pieces(const Place& start, int64_t first, int64_t n) const {
    switch (way_) {
      case Way::kIndexed:
        return indexed(start.moved_by(inner(), first), n);
      case Way::kConstant:
        return constant(start.moved_by(inner(), first), n);
      case Way::kRepeated:
        for (int64_t i = 0; i < n; i += piece_) {
          repeated(start.moved_by(other_, first + i), std::min(piece_, n - i));
        }
        return;
      case Way::kTransposed:
        for (int64_t i = 0; i < n; i += piece_) {
          transposed(start.moved_by(other_, first + i), std::min(piece_, n - i));
        }
        return;
      case Way::kGathered:
        for (int64_t i = 0; i < n; i += piece_) {
          gathered(start.moved_by(inner(), first + i), std::min(piece_, n - i));
        }
        return;
    }
  }

  void indexed(const Place& at, int64_t n) const {
    if (nothing_kept()) return constant(at, n);
    runs_.indexed(job_.affine, operands(at), n, mask(at), streaming_);
  }

  void constant(const Place& at, int64_t n) const {
    const uint64_t* bits = constant_bits(keep_bit(at));
    for (int64_t i = 0; i < n; i += kPiece) {
      runs_.bits(job_.affine, operands(at.moved_by(inner(), i)), std::min(kPiece, n - i), bits,
                 streaming_);
    }
  }

  void repeated(const Place& at, int64_t n) const {
    const int64_t times = inner().size;
    const uint64_t once = word(at, n);
    uint64_t bits[kMaxRepeat] = {};
    for (int64_t i = 0; i < n; ++i) {
      if (once >> i & 1) set_bits(bits, i * times, times);
    }
    runs_.bits(job_.affine, operands(at), n * times, bits, streaming_);
  }

  // A square of 64 by 64 at a time: keep bits are made along the mask and used across it.
  void transposed(const Place& at, int64_t n) const {
    for (int64_t start = 0; start < inner().size; start += kGroup) {
      const int64_t width = std::min<int64_t>(kGroup, inner().size - start);
      const Place corner = at.moved_by(inner(), start);
      uint64_t bits[kGroup] = {};
      for (int64_t i = 0; i < width; ++i) bits[i] = word(corner.moved_by(inner(), i), n);
      transpose(bits);
      for (int64_t i = 0; i < n; ++i) {
        runs_.bits(job_.affine, operands(corner.moved_by(other_, i)), width, bits + i, false);
      }
    }
  }

  void gathered(const Place& at, int64_t n) const {
    alignas(64) char buffer[Dim::kOperands][kGathered * sizeof(double)];
    uint64_t bits[kGathered / kGroup] = {};
    bits_along_inner(at, n, bits);
    for (int i = 0; i < Dim::kOperands; ++i) {
      if (used_[i] && i != Dim::kY) {
        copy(item_[i], buffer[i], item_[i], address(i, at), inner().stride[i], n);
      }
    }
    const Operands near = {buffer[Dim::kX], buffer[Dim::kY], buffer[Dim::kResidual],
                           buffer[Dim::kBias], nullptr};
    runs_.bits(job_.affine, near, n, bits, false);
    copy(item_[Dim::kY], moved(static_cast<char*>(job_.at.y), at.offset[Dim::kY]),
         inner().stride[Dim::kY], buffer[Dim::kY], item_[Dim::kY], n);
  }

  void bits_along_inner(const Place& at, int64_t n, uint64_t* bits) const {
    const Dim& dim = inner();
    if (runs_along_mask(dim)) {
      if (!nothing_kept()) kernels_.keep_bits(mask(at), n, bits);
      return;
    }
    const bool shared = dim.mask == 0 && dim.key == 0;
    const bool first = keep_bit(at);
    for (int64_t i = 0; i < n; ++i) {
      if (shared ? first : keep_bit(at.moved_by(dim, i))) set_bits(bits, i, 1);
    }
  }

  template <int64_t size>
  static void copy(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t n) {
    for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * to_stride, from + i * from_stride, size);
  }
  static void copy(int64_t size, char* to, int64_t to_stride, const char* from, int64_t from_stride,
                   int64_t n) {
    size == 2   ? copy<2>(to, to_stride, from, from_stride, n)
    : size == 4 ? copy<4>(to, to_stride, from, from_stride, n)
                : copy<8>(to, to_stride, from, from_stride, n);
  }

  static void set_bits(uint64_t* bits, int64_t start, int64_t n) {
    for (int64_t i = start; i < start + n;) {
      const int64_t here = std::min(kGroup - i % kGroup, start + n - i);
      const uint64_t ones = here == kGroup ? ~uint64_t{0} : (uint64_t{1} << here) - 1;
      bits[i / kGroup] |= ones << i % kGroup;
      i += here;
    }
  }

  // Bit j of word i becomes bit i of word j: halves of the square are swapped, then quarters, ...
  static void transpose(uint64_t* bits) {
    uint64_t mask = 0x00000000FFFFFFFF;
    for (int width = 32; width != 0; width /= 2, mask ^= mask << width) {
      for (int i = 0; i < kGroup; i = (i + width + 1) & ~width) {
        const uint64_t swap = (bits[i] >> width ^ bits[i + width]) & mask;
        bits[i] ^= swap << width;
        bits[i + width] ^= swap;
      }
    }
  }

  bool nothing_kept() const { return job_.threshold.high > 0xFFFF; }

  IndexedMask mask(const Place& at) const {
    return {job_.keys[at.key], job_.threshold, job_.base + at.mask};
  }

  uint64_t word(const Place& at, int64_t n) const {
    uint64_t bits = 0;
    if (!nothing_kept()) kernels_.keep_bits(mask(at), n, &bits);
    return bits;
  }

  bool keep_bit(const Place& at) const {
    const IndexedMask m = mask(at);
    const uint32_t high = high_half(m.key, m.index);
    if (high != m.threshold.high) return high > m.threshold.high;
    return low_half(m.key, m.index) >= m.threshold.low;
  }

  const char* address(int operand, const Place& at) const {
    const void* const first[] = {job_.at.x, job_.at.y, job_.at.residual, job_.at.bias};
    return static_cast<const char*>(first[operand]) + at.offset[operand];
  }

  Operands operands(const Place& at) const {
    return {moved(job_.at.x, at.offset[Dim::kX]), moved(job_.at.y, at.offset[Dim::kY]),
            moved(job_.at.residual, at.offset[Dim::kResidual]),
            moved(job_.at.bias, at.offset[Dim::kBias]), nullptr};
  }

  const Kernels& kernels_;
  const Job& job_;
  const Runs runs_;
  std::vector<Dim> dims_;   // outermost first
  std::vector<Dim> outer_;  // those around a row
  Dim other_ = {};          // the second dimension of a row, for kRepeated and kTransposed
  int64_t item_[Dim::kOperands] = {};
  bool used_[Dim::kOperands] = {};
  Way way_ = Way::kGathered;
  int64_t piece_ = 0;   // length of what is handed out together
  int64_t length_ = 0;  // of a row, along the dimension that is cut in pieces
  int64_t pieces_ = 0;  // of a row
  bool streaming_ = false;
};

}  // namespace

int64_t item_size(DType type) {
  switch (type) {
    case DType::kFloat64:
      return 8;
    case DType::kFloat32:
      return 4;
    case DType::kFloat16:
    case DType::kBFloat16:
      return 2;
  }
  return 0;
}

void run(const Kernels& kernels, const Job& job, ParallelFor parallel_for) {
  Walk(kernels, job)(parallel_for);
}

}  // namespace torchdropout
