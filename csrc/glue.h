// What the two files that see torch share: register.cpp (the operator) and module.cpp (Python).
#pragma once

#include "old_systems.h"

#include <torch/csrc/stable/ops.h>

#include <atomic>
#include <cstdint>

#include "job.h"

namespace torchdropout {

// The kernels that run, and whether the reference was requested instead.
struct Selection {
  std::atomic<const Kernels*> kernels;
  std::atomic<bool> reference;
};
extern Selection selection;

// An element of a tensor: a real number, or a pair of them that shares a keep bit.
struct ElementType {
  DType real;
  bool complex;
};

inline Op affine_op(double shift) { return shift == 0.0 ? Op::kScale : Op::kShift; }

inline void add_pair(Job& job) {
  for (Dim& dim : job.dims) {
    dim.stride[Dim::kX] *= 2;
    dim.stride[Dim::kY] *= 2;
  }
  job.add_dim(2, item_size(job.x_type), item_size(job.y_type), 0);
  job.affine.drop_value = 0.0;  // a value for both parts has no meaning
}

// Calls an operator: takes its arguments from the stack, and leaves the results there.
inline void call_operator(const char* name, const char* overload, StableIValue* stack) {
  // Not torch's own macro for the check, which has another name in torch 2.10.
  const AOTITorchError error = torch_call_dispatcher(name, overload, stack, TORCH_ABI_VERSION);
  STD_TORCH_CHECK(error == AOTI_TORCH_SUCCESS, name, " failed; torch's log says why");
}

inline void on_torch_threads(int64_t n, int64_t grain, void (*work)(void*, int64_t, int64_t),
                             void* context) {
  torch::stable::parallel_for(
      0, n, grain, [=](int64_t begin, int64_t end) { work(context, begin, end); });
}

}  // namespace torchdropout
