// The only file that sees torch and Python: the operator's CPU kernel and the module `_C`.
#include <Python.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <atomic>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "choice.h"
#include "job.h"

namespace torchdropout {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

std::atomic<const Kernels*> selected{usable_kernels().back()};
std::atomic<bool> use_reference{false};  // in the operator; kernels/cpu.py sees to its own calls

void on_torch_threads(int64_t n, int64_t grain, void (*work)(void*, int64_t, int64_t),
                      void* context) {
  torch::stable::parallel_for(
      0, n, grain, [=](int64_t begin, int64_t end) { work(context, begin, end); });
}

struct ElementType {
  DType real;
  bool complex;
};

// By name, and to Python in this order.
constexpr struct {
  const char* name;
  ScalarType torch_type;
  ElementType type;
} kElementTypes[] = {
    {"float32", ScalarType::Float, {DType::kFloat32, false}},
    {"float64", ScalarType::Double, {DType::kFloat64, false}},
    {"float16", ScalarType::Half, {DType::kFloat16, false}},
    {"bfloat16", ScalarType::BFloat16, {DType::kBFloat16, false}},
    {"complex64", ScalarType::ComplexFloat, {DType::kFloat32, true}},
    {"complex128", ScalarType::ComplexDouble, {DType::kFloat64, true}},
    {"complex32", ScalarType::ComplexHalf, {DType::kFloat16, true}},
};
constexpr int kElementTypeCount = sizeof kElementTypes / sizeof kElementTypes[0];

Op affine_op(double shift) { return shift == 0.0 ? Op::kScale : Op::kShift; }

// A complex number is two reals that share a keep bit.
void add_pair(Job& job) {
  const int64_t x = item_size(job.x_type), y = item_size(job.y_type);
  for (Dim& dim : job.dims) {
    dim.stride[Dim::kX] *= 2;
    dim.stride[Dim::kY] *= 2;
  }
  job.add_dim(2, x, y, 0);
}

// --- the operator ------------------------------------------------------------------------------

std::optional<ElementType> element_type(const Tensor& x) {
  for (const auto& entry : kElementTypes) {
    if (entry.torch_type == x.scalar_type()) return entry.type;
  }
  return std::nullopt;
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

Tensor masked_affine(Tensor x, Tensor key, double p, double scale, double shift, double drop_value,
                     int64_t base, std::vector<int64_t> strides) {
  const std::optional<ElementType> type = element_type(x);
  if (use_reference || !type) {
    return reference(x, key, p, scale, shift, drop_value, base, strides);
  }
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
                d < lead ? 0 : static_cast<uint64_t>(strides[d - lead]), d < lead ? keys_apart : 0);
  }
  if (type->complex) add_pair(job);
  run(*selected, job, on_torch_threads);
  return y;
}

// --- the module ----------------------------------------------------------------------------------
// For calls that nothing but autograd looks at: addresses instead of tensors, at a tenth of the
// operator's overhead. kernels/cpu.py checks what it passes; here is only what C needs.

struct WrongArgument {};

// Reads arguments one after the other; throws with a Python error set.
class Arguments {
 public:
  Arguments(PyObject* const* at, Py_ssize_t n, Py_ssize_t expected) : at_(at) {
    if (n == expected) return;
    PyErr_Format(PyExc_TypeError, "expected %zd arguments, got %zd", expected, n);
    throw WrongArgument();
  }

  PyObject* object() { return *at_++; }
  int64_t integer() { return checked(PyLong_AsLongLong(*at_++)); }
  uint64_t bits() { return checked(PyLong_AsUnsignedLongLongMask(*at_++)); }
  double number() { return checked(PyFloat_AsDouble(*at_++)); }
  void* address() { return checked(PyLong_AsVoidPtr(*at_++)); }
  ElementType element_type() {
    const int64_t code = integer();
    if (code >= 0 && code < kElementTypeCount) return kElementTypes[code].type;
    PyErr_SetString(PyExc_ValueError, "no such element type");
    throw WrongArgument();
  }

 private:
  template <class T>
  static T checked(T value) {
    if (PyErr_Occurred() != nullptr) throw WrongArgument();
    return value;
  }

  PyObject* const* at_;
};

std::vector<int64_t> integers(PyObject* tuple) {
  std::vector<int64_t> values(static_cast<size_t>(PyTuple_Size(tuple)));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<int64_t>(
        PyLong_AsUnsignedLongLongMask(PyTuple_GetItem(tuple, static_cast<Py_ssize_t>(i))));
  }
  if (PyErr_Occurred() != nullptr) throw WrongArgument();
  return values;
}

// Lets other Python threads run while `work` does, if it is long enough to be worth it.
template <class Work>
void without_gil(int64_t elements, const Work& work) {
  constexpr int64_t kWorthIt = 16384;
  PyThreadState* const state = elements >= kWorthIt ? PyEval_SaveThread() : nullptr;
  work();
  if (state != nullptr) PyEval_RestoreThread(state);
}

// Elements of the call. The layout is a number of elements, side by side in every operand and in
// the mask, or sizes and strides, in elements: (sizes, x, y, residual, bias, mask).
int64_t add_dims(Job& job, PyObject* layout) {
  const int64_t x = item_size(job.x_type), y = item_size(job.y_type);
  const int64_t bias = job.y_type == DType::kFloat64 ? 8 : 4;
  if (!PyTuple_Check(layout)) {
    const int64_t n = PyLong_AsLongLong(layout);
    if (PyErr_Occurred() != nullptr) throw WrongArgument();
    job.add_dim(n, x, y, 1, 0, y, bias);
    return n;
  }
  if (PyTuple_Size(layout) != 6) {
    PyErr_SetString(PyExc_ValueError, "a layout has six parts");
    throw WrongArgument();
  }
  std::vector<int64_t> part[6];
  for (int i = 0; i < 6; ++i) part[i] = integers(PyTuple_GetItem(layout, i));
  int64_t elements = 1;
  for (size_t d = 0; d < part[0].size(); ++d) {
    elements *= part[0][d];
    job.add_dim(part[0][d], part[1].at(d) * x, part[2].at(d) * y,
                static_cast<uint64_t>(part[5].at(d)), 0, part[3].at(d) * y, part[4].at(d) * bias);
  }
  return elements;
}

// Runs a body that throws, and gives its result or None.
template <class Body>
PyObject* guarded(const Body& body) {
  try {
    body();
  } catch (const WrongArgument&) {
    return nullptr;
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* py_run(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    Arguments in(args, n, 14);
    Job job = {};
    const ElementType x_type = in.element_type();
    job.x_type = x_type.real;
    job.y_type = in.element_type().real;
    job.at.x = in.address();
    job.at.y = in.address();
    job.at.residual = in.address();
    job.at.bias = in.address();
    const int64_t elements = add_dims(job, in.object());
    job.base = in.bits();
    const Key key = {in.bits(), in.bits()};
    job.keys = &key;
    job.threshold = Threshold::of(in.number());
    job.affine = {in.number(), in.number(), in.number()};
    job.op = job.at.bias != nullptr       ? Op::kAddBias
             : job.at.residual != nullptr ? Op::kAdd
                                          : affine_op(job.affine.shift);
    if (x_type.complex) add_pair(job);
    without_gil(elements, [&] { run(*selected, job, on_torch_threads); });
  });
}

PyObject* py_run_sums(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    Arguments in(args, n, 12);
    SumsJob job = {};
    job.x_type = in.element_type().real;
    job.y_type = in.element_type().real;
    job.x = in.address();
    job.y = in.address();
    job.sums = in.address();
    job.rows = in.integer();
    job.columns = in.integer();
    job.mask.index = in.bits();
    job.mask.key = {in.bits(), in.bits()};
    job.mask.threshold = Threshold::of(in.number());
    job.scale = in.number();
    without_gil(job.rows * job.columns, [&] { run(*selected, job, on_torch_threads); });
  });
}

template <class Values, class Name>
PyObject* tuple_of_names(const Values& values, const Name& name) {
  PyObject* const tuple = PyTuple_New(static_cast<Py_ssize_t>(std::size(values)));
  Py_ssize_t i = 0;
  for (const auto& value : values) {
    PyObject* const text = tuple == nullptr ? nullptr : PyUnicode_FromString(name(value));
    if (text == nullptr) {
      Py_XDECREF(tuple);
      return nullptr;
    }
    PyTuple_SetItem(tuple, i++, text);
  }
  return tuple;
}

PyObject* py_usable(PyObject*, PyObject*) {
  return tuple_of_names(usable_kernels(), [](const Kernels* kernels) { return kernels->name; });
}

PyObject* py_element_types(PyObject*, PyObject*) {
  return tuple_of_names(kElementTypes, [](const auto& entry) { return entry.name; });
}

PyObject* py_lacking(PyObject*, PyObject* name) {
  Py_ssize_t size = 0;
  const char* const text = PyUnicode_AsUTF8AndSize(name, &size);
  return text == nullptr ? nullptr : PyUnicode_FromString(lacking(text).c_str());
}

PyObject* py_select(PyObject*, PyObject* name) {
  if (name == Py_None) {
    use_reference = true;
    Py_RETURN_NONE;
  }
  Py_ssize_t size = 0;
  const char* const text = PyUnicode_AsUTF8AndSize(name, &size);
  if (text == nullptr) return nullptr;
  for (const Kernels* kernels : usable_kernels()) {
    if (std::string(text) == kernels->name) {
      selected = kernels;
      use_reference = false;
      Py_RETURN_NONE;
    }
  }
  return PyErr_Format(PyExc_ValueError, "no kernels of that name can run here");
}

template <class Function>
PyCFunction as_method(Function* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"run", as_method(py_run), METH_FASTCALL,
     "run(x_type, y_type, x, y, residual, bias, layout, base, seed, stream, p, scale, shift, "
     "drop_value) on addresses"},
    {"run_sums", as_method(py_run_sums), METH_FASTCALL,
     "run_sums(x_type, y_type, x, y, sums, rows, columns, base, seed, stream, p, scale)"},
    {"usable", py_usable, METH_NOARGS, "names of the kernels that can run here, the fastest last"},
    {"element_types", py_element_types, METH_NOARGS, "names of torch dtypes in the order of codes"},
    {"lacking", py_lacking, METH_O, "what is missing to run the kernels of a name"},
    {"select", py_select, METH_O, "run the kernels of a name from now on; None: the operator runs the reference"},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "torchdropout._C", "The compiled kernels.", -1, methods,
    nullptr,               nullptr,           nullptr,                 nullptr,
};

}  // namespace
}  // namespace torchdropout

STABLE_TORCH_LIBRARY_IMPL(torchdropout, CPU, m) {
  m.impl("masked_affine", TORCH_BOX(&torchdropout::masked_affine));
}

PyMODINIT_FUNC PyInit__C() {
  PyObject* const module = PyModule_Create(&torchdropout::module);
  // kernels/cpu.py refuses a file that was built for another version of the package.
  if (module != nullptr) PyModule_AddStringConstant(module, "version", TORCHDROPOUT_VERSION);
  return module;
}
