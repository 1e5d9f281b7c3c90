// How a call goes through its elements: the order of dimensions, and the way along the innermost one.
//
// Mask or noise is computed along its index if that follows the elements in memory; otherwise it is
// computed once and repeated, or along another dimension. `Walk` decides, cuts the work into pieces
// and spreads them over threads; its subclasses do a piece in each of the ways.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "job.h"

namespace torchdropout {

constexpr int64_t kPiece = 4096;    // elements of a run that are one unit of work
constexpr int64_t kGathered = 512;  // elements that go through buffers together
constexpr int64_t kMostTogether = 16384;  // elements of constant stretches that are drawn together
constexpr int64_t kShortest = 32;         // elements of a row that is worth a run of its own
constexpr int64_t kOftenReused = 16;      // uses that pay for draws that are made one by one
constexpr int64_t kMostAgain = 32;        // uses of a square: more leave little to share out

template <class T>
T* moved(T* p, int64_t bytes) {
  using Byte = std::conditional_t<std::is_const<T>::value, const char, char>;
  return p == nullptr ? nullptr : reinterpret_cast<Byte*>(p) + bytes;
}

// Position of the element at some coordinates.
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
  virtual ~Walk() = default;
  void operator()(ParallelFor parallel_for);

 protected:
  // `grain`: the least number of elements for a thread.
  Walk(DType x_type, DType y_type, const Operands& at, const std::vector<Dim>& dims, bool residual,
       bool bias, int64_t grain);

  // Process n elements from `at` on, each in one of the ways.
  virtual void indexed(const Place& at, int64_t n) const = 0;
  virtual void constant(const Place& at, int64_t n) const = 0;
  virtual void gathered(const Place& at, int64_t n) const = 0;  // n <= kGathered
  // n <= kGroup stretches of the innermost dimension, along `other_`.
  virtual void repeated(const Place& at, int64_t n) const = 0;
  virtual void transposed(const Place& at, int64_t n) const = 0;
  // n <= kGroup rows along `other_`, each shorter than kShortest.
  virtual void short_rows(const Place& at, int64_t n) const = 0;
  // `rows` times along `other_` the same n <= kPiece draws.
  virtual void reused(const Place& at, int64_t n, int64_t rows) const = 0;

  const Dim& inner() const { return dims_.back(); }
  static bool runs_along_mask(const Dim& dim) { return dim.mask == 1 && dim.key == 0; }
  const void* address(int operand, const Place& at) const;
  Operands operands(const Place& at) const;
  // Whether stretches of some elements are adjacent along a dimension.
  bool contiguous(const Dim& dim, int64_t elements = 1) const;
  // Whether stretches of the innermost dimension go on in the next one along `other_`.
  bool stretches_join() const;
  // Copy n elements of `size` bytes.
  static void copy(int64_t size, void* to, int64_t to_stride, const void* from, int64_t from_stride,
                   int64_t n);

  const Operands at_;
  Dim other_ = {};  // the second dimension of a row, for all ways along two dimensions
  Dim again_ = {1, {}, 0, 0};  // where `transposed` uses the same draws again
  int64_t item_[Dim::kOperands] = {};
  bool used_[Dim::kOperands] = {};
  bool streaming_ = false;

 private:
  // How the innermost dimension is gone through.
  enum class Way {
    kIndexed,     // mask indices follow one another as the elements do in memory
    kConstant,    // one draw for all
    kRepeated,    // constant stretches, adjacent or not: draws of the enclosing dimension, one each
    kTransposed,  // mask indices follow one another along another dimension
    kShort,       // as kIndexed, in rows of a few elements: several rows of the enclosing dimension
    kReused,      // the same draws for all of the enclosing dimension
    kGathered,    // everything else
  };

  void simplify();
  bool joins(const Dim& outer, const Dim& dim) const;
  void plan();
  Way way() const;
  void work(int64_t begin, int64_t end) const;
  Place row(int64_t number) const;
  void pieces(const Place& start, int64_t first, int64_t n) const;

  std::vector<Dim> dims_;   // outermost first
  std::vector<Dim> outer_;  // the dimensions around a row
  const int64_t grain_;
  Way way_ = Way::kGathered;
  int64_t piece_ = 0;   // length of a unit of work
  int64_t length_ = 0;  // length of a row, along the dimension that is cut into pieces
  int64_t pieces_ = 0;  // pieces of a row
};

}  // namespace torchdropout
