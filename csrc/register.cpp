// The operators' CPU kernels, which the dispatcher calls under every transform and in compiled code.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <stdexcept>
#include <string>
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

// A single key may have a third number, which is added to the base.
bool is_placed(const Tensor& key) { return key.dim() == 1 && key.size(0) == 3; }

std::vector<Key> read_keys(const Tensor& key, int64_t& base) {
  const Tensor rows = torch::stable::contiguous(key);
  const auto* words = static_cast<const uint64_t*>(rows.const_data_ptr());
  if (is_placed(key)) {
    base = static_cast<int64_t>(static_cast<uint64_t>(base) + words[2]);
    return {Key::of(words[0], words[1])};
  }
  std::vector<Key> keys;
  for (int64_t i = 0; i < rows.numel() / 2; ++i) keys.push_back(Key::of(words[2 * i], words[2 * i + 1]));
  return keys;
}

bool has_memory(const Tensor& tensor) {
  return tensor.numel() == 0 || tensor.const_data_ptr() != nullptr;
}

template <class... Arguments>
Tensor reference(const char* name, const Arguments&... arguments) {
  using torch::stable::detail::from;
  StableIValue stack[] = {from(arguments)...};
  call_operator(name, "", stack);
  return torch::stable::detail::to<Tensor>(stack[0]);
}

// A tensor like x. Which error torch's call ended in, its stable headers may not say.
Tensor result_for(const Tensor& x) {
  try {
    return torch::stable::empty_like(x);
  } catch (const std::exception& error) {
    throw std::runtime_error("torchdropout: out of memory, or the result of " +
                             std::to_string(x.numel()) + " elements cannot be made: " +
                             error.what());
  }
}

// Check what the kernels rely on: numbers that they know and memory that holds them, a key or a
// stride for each dimension of x. `kernels/_check.py` refuses the same, also of fake tensors.
ElementType check(const char* name, const Tensor& x, const Tensor& key,
                  const std::vector<int64_t>& strides) {
  STD_TORCH_CHECK(x.defined() && key.defined(), name, ": expected `x` and `key` to be tensors");
  const std::optional<ElementType> type = element_type(x);
  STD_TORCH_CHECK(type.has_value(), name,
                  ": expected `x` to be a floating-point or complex tensor of 16 bits or more");
  STD_TORCH_CHECK(key.scalar_type() == ScalarType::Long && key.dim() >= 1 &&
                      (key.size(key.dim() - 1) == 2 || is_placed(key)),
                  name, ": expected `key` to be an int64 tensor of shape (..., 2) or (3,)");
  const int64_t lead = key.dim() - 1;
  STD_TORCH_CHECK(lead + static_cast<int64_t>(strides.size()) == x.dim(), name,
                  ": expected a dimension of `key` or one of `strides` for each of the ", x.dim(),
                  " dimensions of `x`, got ", lead, " and ", strides.size());
  for (int64_t d = 0; d < lead; ++d) {
    STD_TORCH_CHECK(key.size(d) == x.size(d) || key.size(d) == 1, name, ": expected dimension ", d,
                    " of `key` to be of size ", x.size(d), " or 1, got ", key.size(d));
  }
  STD_TORCH_CHECK(has_memory(x) && has_memory(key), name,
                  ": expected `x` and `key` to have memory, got a tensor whose storage is empty");
  return *type;
}

template <class Job>
void lay_out(Job& job, const Tensor& x, const Tensor& y, int64_t item, const Tensor& key,
             int64_t keys, const std::vector<int64_t>& strides) {
  const int64_t lead = key.dim() - 1;
  int64_t keys_apart = keys;
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (d < lead) keys_apart /= key.size(d);
    job.add_dim(x.size(d), x.stride(d) * item, y.stride(d) * item,
                d < lead ? 0 : static_cast<uint64_t>(strides[d - lead]),
                d < lead && key.size(d) > 1 ? keys_apart : 0);
  }
}

Tensor masked_affine(Tensor x, Tensor key, double p, double scale, double shift, double drop_value,
                     int64_t base, std::vector<int64_t> strides) {
  const ElementType type = check("torchdropout::masked_affine", x, key, strides);
  STD_TORCH_CHECK(p >= 0.0 && p <= 1.0,
                  "torchdropout::masked_affine: expected `p` to be in [0, 1], got ", p);
  if (selection.reference) {
    return reference("torchdropout::masked_affine_reference", x, key, p, scale, shift, drop_value,
                     base, strides);
  }
  Tensor y = result_for(x);
  if (x.numel() == 0) return y;
  const std::vector<Key> keys = read_keys(key, base);
  Job job = {affine_op(shift),
             type.real,
             type.real,
             {scale, shift, drop_value},
             {x.const_data_ptr(), y.mutable_data_ptr(), nullptr, nullptr, nullptr},
             {},
             keys.data(),
             Threshold::of(p),
             static_cast<uint64_t>(base)};
  lay_out(job, x, y, item_size(type.real), key, static_cast<int64_t>(keys.size()), strides);
  if (type.complex) add_pair(job);
  run(*selection.kernels, job, on_torch_threads);
  return y;
}

Tensor noise_affine(Tensor x, Tensor key, int64_t law, double factor, double addend, int64_t base,
                    std::vector<int64_t> strides) {
  const ElementType type = check("torchdropout::noise_affine", x, key, strides);
  STD_TORCH_CHECK(!type.complex, "torchdropout::noise_affine: expected `x` to be a real tensor");
  STD_TORCH_CHECK(law >= static_cast<int64_t>(Law::kUniform) &&
                      law <= static_cast<int64_t>(Law::kLogistic),
                  "torchdropout::noise_affine: expected `law` to be 1 (uniform), 2 (normal) or 3 "
                  "(logistic), got ", law);
  if (selection.reference) {
    return reference("torchdropout::noise_affine_reference", x, key, law, factor, addend, base,
                     strides);
  }
  Tensor y = result_for(x);
  if (x.numel() == 0) return y;
  const std::vector<Key> keys = read_keys(key, base);
  NoiseJob job = {type.real,          static_cast<Law>(law), {factor, addend},
                  x.const_data_ptr(), y.mutable_data_ptr(),  {},
                  keys.data(),        static_cast<uint64_t>(base)};
  lay_out(job, x, y, item_size(type.real), key, static_cast<int64_t>(keys.size()), strides);
  run(*selection.kernels, job, on_torch_threads);
  return y;
}

}  // namespace
}  // namespace torchdropout

STABLE_TORCH_LIBRARY_IMPL(torchdropout, CPU, m) {
  m.impl("masked_affine", TORCH_BOX(&torchdropout::masked_affine));
  m.impl("noise_affine", TORCH_BOX(&torchdropout::noise_affine));
}
