// A whole call: tensors of any strides, masks of any strides, spread over threads.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.h"

namespace torchdropout {

// One dimension: how far apart its neighbours are in bytes of each operand, in mask indices
// (modulo 2**64) and in keys.
struct Dim {
  enum Operand { kX, kY, kResidual, kBias, kOperands };
  int64_t size;
  int64_t stride[kOperands];
  uint64_t mask;
  int64_t key;
};

struct Job {
  Op op;  // any but kSum
  DType x_type, y_type;
  Affine affine;
  Operands at;
  std::vector<Dim> dims;
  const Key* keys;
  Threshold threshold;
  uint64_t base;

  void add_dim(int64_t size, int64_t x, int64_t y, uint64_t mask, int64_t key = 0,
               int64_t residual = 0, int64_t bias = 0) {
    dims.push_back({size, {x, y, residual, bias}, mask, key});
  }
};

int64_t item_size(DType type);

// Calls `work(context, begin, end)` for parts of [0, n), each at least `grain` long, on any threads.
using ParallelFor = void (*)(int64_t n, int64_t grain, void (*work)(void*, int64_t, int64_t),
                             void* context);

void run(const Kernels& kernels, const Job& job, ParallelFor parallel_for);

// Noise: `y = x * (1 + factor * e) + addend * e`, all of one type.
struct NoiseJob {
  DType type;
  Law law;
  NoiseAffine affine;
  const void* x;
  void* y;
  std::vector<Dim> dims;
  const Key* keys;
  uint64_t base;

  void add_dim(int64_t size, int64_t x, int64_t y, uint64_t mask, int64_t key = 0) {
    dims.push_back({size, {x, y, 0, 0}, mask, key});
  }
};

void run(const Kernels& kernels, const NoiseJob& job, ParallelFor parallel_for);

// The gradient of `residual + dropout(x + bias)` for x and the bias, of a contiguous matrix:
//   y = keep ? x * scale : 0,   sums[column] = its sum over the rows, in the compute type.
// Rows are summed in blocks of a fixed size, so that the sums do not depend on the threads.
struct SumsJob {
  DType x_type, y_type;
  double scale;
  const void* x;
  void* y;
  void* sums;
  int64_t rows, columns;
  IndexedMask mask;  // row-major
};

void run(const Kernels& kernels, const SumsJob& job, ParallelFor parallel_for);

// Contiguous x and y. In each group of up to 64 consecutive places, the `kept` places with the lowest
// words are kept:
//   y = kept ? x * scale : 0
struct GroupsJob {
  DType type;
  double scale;
  const void* x;
  void* y;
  Key key;
  uint32_t domain;
  uint64_t base;
  int64_t groups;
  int group, kept;
};

void run(const Kernels& kernels, const GroupsJob& job, ParallelFor parallel_for);

// In each row of places, the numbers of the `kept` places with the lowest words, ascending or in the
// order of their words.
struct PlacesJob {
  Key key;
  uint32_t domain;
  uint64_t base;
  int64_t rows, size, kept;  // size < 2**32
  bool ascending;
  int64_t* places;
};

void run(const Kernels& kernels, const PlacesJob& job, ParallelFor parallel_for);

// Contiguous x and y: maps of `sizes` within outer dimensions. Each map has a map of seeds, which
// includes every block that covers a place of it: `block - 1` more along each dimension, row-major,
// its first at `base` plus the outer strides. All that a dropped seed's block covers is dropped:
//   y = kept ? x * scale : 0
struct BlocksJob {
  struct Outer {
    int64_t size;
    uint64_t stride;
  };
  DType type;
  double scale;
  const void* x;
  void* y;
  Key key;
  Threshold threshold;  // high <= 65535
  uint64_t base;
  int64_t block;
  std::vector<Outer> outer;    // outermost first
  std::vector<int64_t> sizes;  // one to eight
};

void run(const Kernels& kernels, const BlocksJob& job, ParallelFor parallel_for);

}  // namespace torchdropout
