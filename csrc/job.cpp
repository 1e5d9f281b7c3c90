#include "job.h"

#include <algorithm>
#include <cstring>

#include "walk.h"

namespace torchdropout {
namespace {

constexpr int64_t kGrain = 32768;  // the least number of elements for a thread

const uint64_t* constant_bits(bool keep) {
  static const std::vector<uint64_t> kept(kPiece / kGroup, ~uint64_t{0});
  static const std::vector<uint64_t> dropped(kPiece / kGroup, 0);
  return keep ? kept.data() : dropped.data();
}

class MaskWalk final : public Walk {
 public:
  MaskWalk(const Kernels& kernels, const Job& job)
      : Walk(job.x_type, job.y_type, job.at, job.dims, job.op == Op::kAdd || job.op == Op::kAddBias,
             job.op == Op::kAddBias, kGrain),
        kernels_(kernels),
        job_(job),
        runs_(kernels.runs(job.op, job.x_type, job.y_type)) {}

 private:
  void indexed(const Place& at, int64_t n) const override {
    if (nothing_kept()) return constant(at, n);
    runs_.indexed(job_.affine, operands(at), n, mask(at), streaming_);
  }

  void constant(const Place& at, int64_t n) const override { all_as(at, n, keep_bit(at)); }

  void repeated(const Place& at, int64_t n) const override {
    const int64_t times = inner().size;
    const uint64_t once = word(at, n);
    if (times > kPiece / 2 || !stretches_join()) {
      for (int64_t i = 0; i < n; ++i) all_as(at.moved_by(other_, i), times, once >> i & 1);
      return;
    }
    uint64_t bits[kMostTogether / kGroup + 1];
    stretch(once, n, times, bits);
    with_bits(at, n * times, bits);
  }

  void reused(const Place& at, int64_t n, int64_t rows) const override {
    uint64_t bits[kPiece / kGroup + 1] = {};
    bits_along_inner(at, n, bits);
    // Short rows that are adjacent are one run, with the bits of one after the other.
    const int64_t together = contiguous(other_, n) ? std::min(rows, kPiece / n) : 1;
    append_copies(bits, n, together);
    for (int64_t i = 0; i < rows; i += together) {
      runs_.bits(job_.affine, operands(at.moved_by(other_, i)), n * std::min(together, rows - i),
                 bits, streaming_);
    }
  }

  // Process squares of 64 by 64: keep bits are made along the mask and used across it.
  void transposed(const Place& at, int64_t n) const override {
    for (int64_t start = 0; start < inner().size; start += kGroup) {
      const int64_t width = std::min<int64_t>(kGroup, inner().size - start);
      const Place corner = at.moved_by(inner(), start);
      uint64_t bits[kGroup] = {};
      for (int64_t i = 0; i < width; ++i) bits[i] = word(corner.moved_by(inner(), i), n);
      transpose(bits);
      if (again_.size > 1 && contiguous(again_, inner().size) && width == inner().size) {
        uint64_t row[kMostAgain + 1];
        for (int64_t i = 0; i < n; ++i) {
          row[0] = bits[i];
          append_copies(row, width, again_.size);
          runs_.bits(job_.affine, operands(corner.moved_by(other_, i)), width * again_.size, row,
                     false);
        }
        continue;
      }
      for (int64_t i = 0; i < again_.size; ++i) rows(corner.moved_by(again_, i), width, n, bits);
    }
  }

  // n rows of `width` elements along `other_`, each with its own bits.
  void rows(const Place& at, int64_t width, int64_t n, const uint64_t* bits) const {
    if (width < kGroup) {
      for (int64_t i = 0, some = kGathered / width; i < n; i += some) {
        side_by_side(at.moved_by(other_, i), width, std::min(some, n - i), bits + i);
      }
      return;
    }
    for (int64_t i = 0; i < n; ++i) {
      runs_.bits(job_.affine, operands(at.moved_by(other_, i)), width, bits + i, false);
    }
  }

  void short_rows(const Place& at, int64_t n) const override {
    uint64_t bits[kGroup];
    const int64_t width = inner().size;
    for (int64_t i = 0; i < n; ++i) bits[i] = word(at.moved_by(other_, i), width);
    side_by_side(at, width, n, bits);
  }

  // Short rows as one run: a run of a few elements costs as much as one of a group.
  void side_by_side(const Place& at, int64_t width, int64_t rows, const uint64_t* each) const {
    uint64_t bits[kGathered / kGroup + 1] = {};
    for (int64_t i = 0, done = 0; i < rows; ++i, done += width) {
      const uint64_t row = each[i] & ((uint64_t{1} << width) - 1);
      const int64_t shift = done % kGroup;
      bits[done / kGroup] |= row << shift;
      if (shift + width > kGroup) bits[done / kGroup + 1] = row >> (kGroup - shift);
    }
    if (contiguous(other_, width)) return runs_.bits(job_.affine, operands(at), width * rows, bits, false);
    Buffers buffer;
    for (int i = 0; i < Dim::kOperands; ++i) {
      if (!used_[i] || i == Dim::kY) continue;
      copy_rows(width * item_[i], buffer.at[i], width * item_[i],
                static_cast<const char*>(address(i, at)), other_.stride[i], rows);
    }
    runs_.bits(job_.affine, buffer.operands(), width * rows, bits, false);
    const int64_t bytes = width * item_[Dim::kY];
    copy_rows(bytes, static_cast<char*>(operands(at).y), other_.stride[Dim::kY],
              buffer.at[Dim::kY], bytes, rows);
  }

  static void copy_rows(int64_t bytes, char* to, int64_t to_stride, const char* from,
                        int64_t from_stride, int64_t rows) {
    for (int64_t i = 0; i < rows; ++i) std::memcpy(to + i * to_stride, from + i * from_stride, bytes);
  }

  void gathered(const Place& at, int64_t n) const override {
    uint64_t bits[kGathered / kGroup] = {};
    bits_along_inner(at, n, bits);
    through_buffers(at, n, bits);
  }

  // n elements at the strides of the innermost dimension.
  void with_bits(const Place& at, int64_t n, const uint64_t* bits) const {
    if (contiguous(inner())) return runs_.bits(job_.affine, operands(at), n, bits, streaming_);
    for (int64_t i = 0; i < n; i += kGathered) {
      through_buffers(at.moved_by(inner(), i), std::min(kGathered, n - i), bits + i / kGroup);
    }
  }

  void through_buffers(const Place& at, int64_t n, const uint64_t* bits) const {
    Buffers buffer;
    for (int i = 0; i < Dim::kOperands; ++i) {
      if (used_[i] && i != Dim::kY) {
        copy(item_[i], buffer.at[i], item_[i], address(i, at), inner().stride[i], n);
      }
    }
    Operands near = buffer.operands();
    void* const y = operands(at).y;
    const bool is_run = inner().stride[Dim::kY] == item_[Dim::kY];
    if (is_run) near.y = y;
    runs_.bits(job_.affine, near, n, bits, false);
    if (!is_run) copy(item_[Dim::kY], y, inner().stride[Dim::kY], near.y, item_[Dim::kY], n);
  }

  struct Buffers {
    alignas(64) char at[Dim::kOperands][kGathered * sizeof(double)];
    Operands operands() {
      return {at[Dim::kX], at[Dim::kY], at[Dim::kResidual], at[Dim::kBias], nullptr};
    }
  };

  void bits_along_inner(const Place& at, int64_t n, uint64_t* bits) const {
    const Dim& dim = inner();
    if (runs_along_mask(dim)) {
      if (!nothing_kept()) kernels_.keep_bits(mask(at), n, bits);
      return;
    }
    if (dim.mask == 0 && dim.key == 0) {
      std::fill_n(bits, (n + kGroup - 1) / kGroup, keep_bit(at) ? ~uint64_t{0} : 0);
      return;
    }
    for (int64_t i = 0; i < n; ++i) {
      bits[i / kGroup] |= uint64_t{keep_bit(at.moved_by(dim, i))} << i % kGroup;
    }
  }

  // Elements of the innermost dimension that share a keep bit.
  void all_as(const Place& at, int64_t n, bool keep) const {
    const uint64_t* bits = constant_bits(keep);
    for (int64_t i = 0; i < n; i += kPiece) {
      with_bits(at.moved_by(inner(), i), std::min(kPiece, n - i), bits);
    }
  }

  // Write each of n bits `times` times; there is a word more than needed.
  static void stretch(uint64_t bits, int64_t n, int64_t times, uint64_t* to) {
    if (times % kGroup == 0) {
      for (; n > 0; --n, bits >>= 1) to = std::fill_n(to, times / kGroup, -(bits & 1));
      return;
    }
    uint64_t word = 0;  // the bits below `used` are to be written
    int64_t used = 0;
    for (; n > 0; --n, bits >>= 1) {
      const uint64_t value = -(bits & 1);
      int64_t left = times;
      for (; left >= kGroup; left -= kGroup) {
        *to++ = word | value << used;
        word = value & ((uint64_t{1} << used) - 1);
      }
      const uint64_t some = value & ((uint64_t{1} << left) - 1);
      word |= some << used;
      used += left;
      if (used >= kGroup) {
        *to++ = word;
        used -= kGroup;
        word = some >> (left - used);
      }
    }
    *to = word;
  }

  // Repeat the first n bits, so that they are there `times` times; there is a word more than needed.
  static void append_copies(uint64_t* bits, int64_t n, int64_t times) {
    const auto ones = [](int64_t count) { return (uint64_t{1} << count) - 1; };
    for (int64_t have = n; have < n * times;) {
      const int64_t more = std::min(have, n * times - have);
      const int64_t shift = have % kGroup, first = have / kGroup;
      // Whatever is behind the bits that are there must not stay.
      bits[first] &= ones(shift);
      for (int64_t i = 0; i * kGroup < more; ++i) {
        bits[first + i] |= bits[i] << shift;
        bits[first + i + 1] = shift == 0 ? 0 : bits[i] >> (kGroup - shift);
      }
      have += more;
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

  const Kernels& kernels_;
  const Job& job_;
  const Runs runs_;
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
  MaskWalk(kernels, job)(parallel_for);
}

}  // namespace torchdropout
