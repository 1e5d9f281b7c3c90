// The operator's CPU kernel: what the dispatcher calls, under every transform and from compiled code.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <vector>

#include "choice.h"
#include "glue.h"

namespace torchdropout {

Selection selection{{usable_kernels().back()}, {false}};

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

std::optional<ElementType> element_type(const Tensor& x) {
  switch (x.scalar_type()) {
    case ScalarType::Float:
      return ElementType{DType::kFloat32, false};
    case ScalarType::Double:
      return ElementType{DType::kFloat64, false};
    case ScalarType::Half:
      return ElementType{DType::kFloat16, false};
    case ScalarType::BFloat16:
      return ElementType{DType::kBFloat16, false};
    case ScalarType::ComplexFloat:
      return ElementType{DType::kFloat32, true};
    case ScalarType::ComplexDouble:
      return ElementType{DType::kFloat64, true};
    case ScalarType::ComplexHalf:
      return ElementType{DType::kFloat16, true};
    default:
      return std::nullopt;
  }
}

std::vector<Key> read_keys(const Tensor& key) {
  const Tensor rows = torch::stable::contiguous(key);
  const auto* words = static_cast<const uint64_t*>(rows.const_data_ptr());
  std::vector<Key> keys;
  for (int64_t i = 0; i < rows.numel() / 2; ++i) keys.push_back({words[2 * i], words[2 * i + 1]});
  return keys;
}

Tensor reference(const Tensor& x, const Tensor& key, double p, double scale, double shift,
                 double drop_value, int64_t base, const std::vector<int64_t>& strides) {
  using torch::stable::detail::from;
  StableIValue stack[] = {from(x),     from(key),        from(p),    from(scale),
                          from(shift), from(drop_value), from(base), from(strides)};
  STABLE_TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("torchdropout::masked_affine_reference", "",
                                                      stack, TORCH_ABI_VERSION));
  return torch::stable::detail::to<Tensor>(stack[0]);
}

// What the kernel relies on: it reads as many keys and strides as x has dimensions for.
void check(const Tensor& x, const Tensor& key, const std::vector<int64_t>& strides) {
  STD_TORCH_CHECK(key.scalar_type() == ScalarType::Long && key.dim() >= 1 &&
                      key.size(key.dim() - 1) == 2,
                  "torchdropout::masked_affine: expected `key` to be an int64 tensor of shape (..., 2)");
  const int64_t lead = key.dim() - 1;
  STD_TORCH_CHECK(lead + static_cast<int64_t>(strides.size()) == x.dim(),
                  "torchdropout::masked_affine: expected a dimension of `key` or one of `strides` for "
                  "each of the ", x.dim(), " dimensions of `x`, got ", lead, " and ", strides.size());
  for (int64_t d = 0; d < lead; ++d) {
    STD_TORCH_CHECK(key.size(d) == x.size(d) || key.size(d) == 1,
                    "torchdropout::masked_affine: expected dimension ", d, " of `key` to be of size ",
                    x.size(d), " or 1, got ", key.size(d));
  }
}

Tensor masked_affine(Tensor x, Tensor key, double p, double scale, double shift, double drop_value,
                     int64_t base, std::vector<int64_t> strides) {
  const std::optional<ElementType> type = element_type(x);
  if (selection.reference || !type) {
    return reference(x, key, p, scale, shift, drop_value, base, strides);
  }
  check(x, key, strides);
  Tensor y = torch::stable::empty_like(x);
  if (x.numel() == 0) return y;
  const std::vector<Key> keys = read_keys(key);
  Job job = {affine_op(shift),
             type->real,
             type->real,
             {scale, shift, drop_value},
             {x.const_data_ptr(), y.mutable_data_ptr(), nullptr, nullptr, nullptr},
             {},
             keys.data(),
             Threshold::of(p),
             static_cast<uint64_t>(base)};
  const int64_t item = item_size(type->real);
  const int64_t lead = key.dim() - 1;
  int64_t keys_apart = static_cast<int64_t>(keys.size());
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (d < lead) keys_apart /= key.size(d);
    job.add_dim(x.size(d), x.stride(d) * item, y.stride(d) * item,
                d < lead ? 0 : static_cast<uint64_t>(strides[d - lead]),
                d < lead && key.size(d) > 1 ? keys_apart : 0);
  }
  if (type->complex) add_pair(job);
  run(*selection.kernels, job, on_torch_threads);
  return y;
}

}  // namespace
}  // namespace torchdropout

STABLE_TORCH_LIBRARY_IMPL(torchdropout, CPU, m) {
  m.impl("masked_affine", TORCH_BOX(&torchdropout::masked_affine));
}
