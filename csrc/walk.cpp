#include "walk.h"

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cstring>

namespace torchdropout {
namespace {

// True if y is large and its pages are mapped. Bypassing the caches avoids reading lines that will be
// overwritten; on pages that are not mapped yet it only adds to the cost of mapping them.
#ifdef __linux__
// x and y then take three quarters of the last cache: measured on 32 MiB of it, where y of 8 MiB is
// faster without. At most 32 MiB, as no larger cache has been measured.
int64_t streaming_bytes() {
  constexpr int64_t kMost = int64_t{32} << 20;
#ifdef _SC_LEVEL3_CACHE_SIZE
  static const int64_t last = sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (last > 0) return std::min(kMost, last / 8 * 3);
#endif
  return kMost;
}

bool worth_streaming(const void* y, int64_t bytes) {
  if (bytes < streaming_bytes()) return false;
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
}
#else  // not tried on other systems
bool worth_streaming(const void*, int64_t) { return false; }
#endif

template <int64_t size>
void copy_items(char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t n) {
  // Every other element, as of a slice, goes by vectors if the compiler knows both strides.
  if (to_stride == size && from_stride == 2 * size) {
    for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * size, from + i * 2 * size, size);
    return;
  }
  for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * to_stride, from + i * from_stride, size);
}

}  // namespace

Walk::Walk(DType x_type, DType y_type, const Operands& at, const std::vector<Dim>& dims,
           bool residual, bool bias, int64_t grain)
    : at_(at), dims_(dims), grain_(grain) {
  item_[Dim::kX] = item_size(x_type);
  item_[Dim::kY] = item_size(y_type);
  item_[Dim::kResidual] = item_[Dim::kY];
  item_[Dim::kBias] = y_type == DType::kFloat64 ? 8 : 4;
  used_[Dim::kX] = used_[Dim::kY] = true;
  used_[Dim::kResidual] = residual;
  used_[Dim::kBias] = bias;
  simplify();
  plan();
}

void Walk::operator()(ParallelFor parallel_for) {
  int64_t items = pieces_;
  for (const Dim& dim : outer_) items *= dim.size;
  int64_t elements = 1;
  for (const Dim& dim : dims_) elements *= dim.size;
  if (elements == 0) return;
  streaming_ = at_.x != at_.y && worth_streaming(at_.y, elements * item_[Dim::kY]);
  const int64_t grain = std::max<int64_t>(1, grain_ * items / elements);
  if (items <= grain) return work(0, items);
  parallel_for(
      items, grain,
      [](void* self, int64_t begin, int64_t end) {
        static_cast<const Walk*>(self)->work(begin, end);
      },
      this);
}

bool Walk::contiguous(const Dim& dim, int64_t elements) const {
  for (int i = 0; i < Dim::kOperands; ++i) {
    if (used_[i] && dim.stride[i] != item_[i] * elements) return false;
  }
  return true;
}

bool Walk::stretches_join() const {
  for (int i = 0; i < Dim::kOperands; ++i) {
    if (used_[i] && other_.stride[i] != inner().stride[i] * inner().size) return false;
  }
  return true;
}

// Put dimensions in the order of y's memory, and merge neighbours that are one dimension everywhere.
void Walk::simplify() {
  if (dims_.size() == 1 && dims_[0].size != 1) return;  // the case of small calls: nothing to do
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

bool Walk::joins(const Dim& outer, const Dim& dim) const {
  for (int i = 0; i < Dim::kOperands; ++i) {
    if (used_[i] && outer.stride[i] != dim.stride[i] * dim.size) return false;
  }
  return outer.mask == dim.mask * static_cast<uint64_t>(dim.size) &&
         outer.key == dim.key * dim.size;
}

void Walk::plan() {
  way_ = way();
  outer_.assign(dims_.begin(), dims_.end() - 1);
  if (way_ == Way::kRepeated || way_ == Way::kReused || way_ == Way::kShort) {
    other_ = outer_.back();
    outer_.pop_back();
  } else if (way_ == Way::kTransposed) {
    const auto at = std::find_if(outer_.begin(), outer_.end(), runs_along_mask);
    other_ = *at;
    outer_.erase(at);
    const auto shared = std::find_if(outer_.rbegin(), outer_.rend(), [](const Dim& dim) {
      return dim.mask == 0 && dim.key == 0 && dim.size > 1;
    });
    if (shared != outer_.rend()) {
      again_ = *shared;
      again_.size = std::min(shared->size, kMostAgain);
      while (shared->size % again_.size != 0) --again_.size;
      shared->size /= again_.size;
      for (int64_t& stride : shared->stride) stride *= again_.size;
    }
  }
  switch (way_) {
    case Way::kIndexed:
    case Way::kConstant:
      piece_ = kPiece;
      break;
    case Way::kRepeated:
      // A size may be 0; otherwise it is at most kMostTogether.
      piece_ = std::min<int64_t>(kGroup, kMostTogether / std::max<int64_t>(1, inner().size));
      break;
    case Way::kTransposed:
      piece_ = kGroup;
      break;
    case Way::kReused:
      piece_ = 1;
      break;
    case Way::kShort:
      piece_ = std::min<int64_t>(kGroup, kGathered / inner().size);
      break;
    case Way::kGathered:
      piece_ = kGathered;
      break;
  }
  const bool along_other = way_ == Way::kRepeated || way_ == Way::kTransposed ||
                           way_ == Way::kReused || way_ == Way::kShort;
  length_ = along_other ? other_.size : inner().size;
  pieces_ = (length_ + piece_ - 1) / piece_;
}

Walk::Way Walk::way() const {
  const Dim& dim = inner();
  const Dim* const around = dims_.size() > 1 ? &dims_[dims_.size() - 2] : nullptr;
  const bool repeats = dim.mask == 0 && dim.key == 0 && around != nullptr &&
                       dim.size <= kMostTogether && runs_along_mask(*around);
  if (repeats) return Way::kRepeated;
  if (!contiguous(dim) || dim.key != 0) return Way::kGathered;
  const bool shared = around != nullptr && around->mask == 0 && around->key == 0;
  if (dim.mask == 1) {
    if (shared) return Way::kReused;
    return around != nullptr && dim.size > 0 && dim.size < kShortest ? Way::kShort : Way::kIndexed;
  }
  if (dim.mask == 0) return Way::kConstant;
  const auto outer_end = dims_.end() - 1;
  const auto across = std::find_if(dims_.begin(), outer_end, runs_along_mask);
  const bool crosses = across != outer_end;
  // A square that is used again as one run: its draws cost less than draws that are made one by one.
  const bool square = crosses && across->size >= kShortest && dim.size <= kGroup && shared &&
                      contiguous(*around, dim.size) && around->size <= 4 * kMostAgain;
  if (shared && !square && (!crosses || around->size >= kOftenReused)) return Way::kReused;
  return crosses ? Way::kTransposed : Way::kGathered;
}

void Walk::work(int64_t begin, int64_t end) const {
  while (begin < end) {
    const int64_t first = begin % pieces_;
    const int64_t last = std::min(pieces_, first + end - begin);
    const int64_t start = first * piece_;
    pieces(row(begin / pieces_), start, std::min(last * piece_, length_) - start);
    begin += last - first;
  }
}

// The first element of a row: a stretch of the innermost dimension (and the other one).
Place Walk::row(int64_t number) const {
  Place place;
  for (auto dim = outer_.rbegin(); dim != outer_.rend(); ++dim) {
    place = place.moved_by(*dim, number % dim->size);
    number /= dim->size;
  }
  return place;
}

void Walk::pieces(const Place& start, int64_t first, int64_t n) const {
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
    case Way::kShort:
      for (int64_t i = 0; i < n; i += piece_) {
        short_rows(start.moved_by(other_, first + i), std::min(piece_, n - i));
      }
      return;
    case Way::kReused:
      for (int64_t i = 0; i < inner().size; i += kPiece) {
        const int64_t width = std::min(kPiece, inner().size - i);
        reused(start.moved_by(other_, first).moved_by(inner(), i), width, n);
      }
      return;
    case Way::kGathered:
      for (int64_t i = 0; i < n; i += piece_) {
        gathered(start.moved_by(inner(), first + i), std::min(piece_, n - i));
      }
      return;
  }
}

const void* Walk::address(int operand, const Place& at) const {
  const void* const first[] = {at_.x, at_.y, at_.residual, at_.bias};
  return moved(first[operand], at.offset[operand]);
}

Operands Walk::operands(const Place& at) const {
  return {moved(at_.x, at.offset[Dim::kX]), moved(at_.y, at.offset[Dim::kY]),
          moved(at_.residual, at.offset[Dim::kResidual]),
          moved(at_.bias, at.offset[Dim::kBias]), nullptr};
}

void Walk::copy(int64_t size, void* to, int64_t to_stride, const void* from, int64_t from_stride,
                int64_t n) {
  auto* const at = static_cast<char*>(to);
  const auto* const start = static_cast<const char*>(from);
  size == 2   ? copy_items<2>(at, to_stride, start, from_stride, n)
  : size == 4 ? copy_items<4>(at, to_stride, start, from_stride, n)
              : copy_items<8>(at, to_stride, start, from_stride, n);
}

}  // namespace torchdropout
