// The module `_C`: kernels on Python's tensors, for calls that only autograd observes.
//
// Tensors are read through DLPack's C exchange table, which torch offers from 2.10 on: a pointer,
// sizes and strides in some ten nanoseconds, whereas the operator costs microseconds.
#include <Python.h>

// DLPack's own header, plain C. torch hides its copy from code that uses only the stable ABI.
#pragma push_macro("TORCH_TARGET_VERSION")
#undef TORCH_TARGET_VERSION
#include <ATen/dlpack.h>
#pragma pop_macro("TORCH_TARGET_VERSION")

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "choice.h"
#include "glue.h"

namespace torchdropout {
namespace {

// The arguments of `connect`, and names made once: Python objects that live as long as the process.
struct Connection {
  PyObject* tensor_type;
  PyObject* parameter_type;
  PyObject* empty_like;
  PyObject* watchers;  // functions without arguments; each returns something false if inactive
  PyObject *forward_ad, *level;  // a module and the name of a number in it, below 0 if inactive
  PyObject *profiler, *is_profiling;  // the same for a flag
  PyObject* apply;    // apply(x, in_place, call) with a gradient
  PyObject* linear;   // linear(gradient, call): the derivative if the kernel may not be run
  PyObject* written;  // increment_version(y), for a write that autograd did not see
  const DLPackExchangeAPI* exchange;
  PyObject *is_neg, *is_conj, *is_inference, *requires_grad, *mark_dirty, *contiguous;
  PyObject* call;
  torch::stable::Tensor* seed;  // a draw is written into it; the interpreter's lock guards it
} torch_side;

// A Python error is set.
struct PythonError {};

template <class T>
T* checked(T* object) {
  if (object == nullptr) throw PythonError();
  return object;
}

// An owned reference.
class Owned {
 public:
  explicit Owned(PyObject* object) : object_(checked(object)) {}
  ~Owned() { Py_DECREF(object_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  PyObject* get() const { return object_; }

 private:
  PyObject* object_;
};

bool is_true(PyObject* object) {
  const int truth = PyObject_IsTrue(object);
  if (truth < 0) throw PythonError();
  return truth != 0;
}

bool method_is_true(PyObject* object, PyObject* name) {
  return is_true(Owned(PyObject_CallMethodObjArgs(object, name, nullptr)).get());
}

bool attribute_is_true(PyObject* object, PyObject* name) {
  return is_true(Owned(PyObject_GetAttr(object, name)).get());
}

PyObject* new_reference(PyObject* object) {
  Py_INCREF(object);
  return object;
}

// A strided CPU tensor of a type that the kernels know.
struct View {
  DLTensor dl;
  ElementType type;

  int64_t size(int d) const { return dl.shape[d]; }
  int64_t stride(int d) const { return dl.strides[d]; }
  void* data() const { return static_cast<char*>(dl.data) + dl.byte_offset; }

  int64_t elements() const {
    int64_t n = 1;
    for (int d = 0; d < dl.ndim; ++d) n *= size(d);
    return n;
  }
  bool same_shape(const View& other) const {
    return dl.ndim == other.dl.ndim && std::equal(dl.shape, dl.shape + dl.ndim, other.dl.shape);
  }
  bool same_strides(const View& other) const {
    for (int d = 0; d < dl.ndim; ++d) {
      if (size(d) > 1 && stride(d) != other.stride(d)) return false;
    }
    return true;
  }
  // Whether elements share their memory, as in the gradient of a sum.
  bool expanded() const {
    for (int d = 0; d < dl.ndim; ++d) {
      if (size(d) > 1 && stride(d) == 0) return true;
    }
    return false;
  }
  // Whether the elements, in some order of dimensions, are one run of memory.
  bool dense() const {
    int64_t run = 1;
    const int64_t all = elements();
    if (all == 0) return true;
    for (bool grew = true; run != all && grew;) {
      grew = false;
      for (int d = dl.ndim - 1; d >= 0 && !grew; --d) {
        grew = size(d) > 1 && stride(d) == run;
        if (grew) run *= size(d);
      }
    }
    return run == all;
  }
  bool contiguous() const {
    int64_t expected = 1;
    for (int d = dl.ndim - 1; d >= 0; --d) {
      if (size(d) == 0) return true;
      if (size(d) != 1 && stride(d) != expected) return false;
      expected *= size(d);
    }
    return true;
  }
};

bool read_type(const DLDataType& dtype, ElementType* type) {
  const bool complex = dtype.code == kDLComplex;
  const int bits = complex ? dtype.bits / 2 : dtype.bits;
  if (dtype.code == kDLBfloat && bits == 16) {
    *type = {DType::kBFloat16, false};
  } else if (!complex && dtype.code != kDLFloat) {
    return false;
  } else if (bits == 16) {
    *type = {DType::kFloat16, complex};
  } else if (bits == 32) {
    *type = {DType::kFloat32, complex};
  } else if (bits == 64) {
    *type = {DType::kFloat64, complex};
  } else {
    return false;
  }
  return true;
}

bool read(PyObject* object, View* view) {
  if (torch_side.exchange == nullptr) return false;
  if (torch_side.exchange->dltensor_from_py_object_no_sync(object, &view->dl) != 0) {
    PyErr_Clear();  // sparse, nested or without memory
    return false;
  }
  return view->dl.device.device_type == kDLCPU && read_type(view->dl.dtype, &view->type) &&
         (view->dl.data != nullptr || view->elements() == 0);
}

View read_or_throw(PyObject* object) {
  View view;
  if (read(object, &view)) return view;
  PyErr_SetString(PyExc_TypeError, "expected a strided CPU tensor");
  throw PythonError();
}

bool is_watched() {
  for (Py_ssize_t i = 0; i < PyTuple_Size(torch_side.watchers); ++i) {
    const Owned seen(PyObject_CallObject(PyTuple_GetItem(torch_side.watchers, i), nullptr));
    if (is_true(seen.get())) return true;
  }
  const Owned level(PyObject_GetAttr(torch_side.forward_ad, torch_side.level));
  return PyLong_AsLong(level.get()) >= 0 ||
         attribute_is_true(torch_side.profiler, torch_side.is_profiling);
}

bool is_plain(PyObject* object) {
  if (selection.reference || torch_side.exchange == nullptr) return false;
  auto* const type = reinterpret_cast<PyObject*>(Py_TYPE(object));
  if (type != torch_side.tensor_type && type != torch_side.parameter_type) return false;
  // Checked first: reading a tensor that a transform has wrapped fails with a slow exception.
  if (is_watched()) return false;
  View view;
  if (!read(object, &view)) return false;
  // Lazily negated or conjugated: the memory does not hold the values.
  return !method_is_true(object, torch_side.is_neg) &&
         !(view.type.complex && method_is_true(object, torch_side.is_conj));
}

// Whether the result for x may be written into y, as far as that shows at once: both are plain,
// without gaps and need no gradient, y is not frozen, and they are one memory or do not touch.
bool may_be_written(PyObject* x_object, PyObject* y_object) {
  if (!is_plain(x_object) || !is_plain(y_object)) return false;
  const View x = read_or_throw(x_object), y = read_or_throw(y_object);
  const auto* const x_first = static_cast<const char*>(x.data());
  const auto* const y_first = static_cast<const char*>(y.data());
  const int64_t bytes = x.elements() * x.dl.dtype.bits / 8;
  return x.dl.dtype.code == y.dl.dtype.code && x.dl.dtype.bits == y.dl.dtype.bits &&
         x.same_shape(y) && x.dense() && y.dense() &&
         (x_first + bytes <= y_first || y_first + bytes <= x_first ||
          (x_first == y_first && x.same_strides(y))) &&
         !attribute_is_true(x_object, torch_side.requires_grad) &&
         !attribute_is_true(y_object, torch_side.requires_grad) &&
         !method_is_true(y_object, torch_side.is_inference);
}

bool wants_gradient(PyObject* object) {
  return aoti_torch_grad_mode_is_enabled() &&
         attribute_is_true(object, torch_side.requires_grad);
}

// --- arguments -------------------------------------------------------------------------------

class Arguments {
 public:
  Arguments(PyObject* const* at, Py_ssize_t n, Py_ssize_t expected) : at_(at) {
    if (n == expected) return;
    PyErr_Format(PyExc_TypeError, "expected %zd arguments, got %zd", expected, n);
    throw PythonError();
  }

  PyObject* object() { return *at_++; }

 private:
  PyObject* const* at_;
};

template <class T>
T without_error(T value) {
  if (PyErr_Occurred() != nullptr) throw PythonError();
  return value;
}

void require(bool fits, const char* expected) {
  if (fits) return;
  PyErr_SetString(PyExc_ValueError, expected);
  throw PythonError();
}

void require_type(bool fits, const char* expected) {
  if (fits) return;
  PyErr_SetString(PyExc_TypeError, expected);
  throw PythonError();
}

uint64_t bits_of(PyObject* integer) {
  return without_error(PyLong_AsUnsignedLongLongMask(integer));
}

uint64_t draw() {
  using torch::stable::detail::from;
  StableIValue stack[] = {from(*torch_side.seed), from(std::numeric_limits<int64_t>::min()),
                          from(std::optional<int64_t>()), from(std::nullopt)};
  call_operator("aten::random_", "from", stack);
  torch::stable::detail::to<torch::stable::Tensor>(stack[0]);  // takes the result's reference
  return *static_cast<const uint64_t*>(torch_side.seed->const_data_ptr());
}

// `direct.Call`: what happens to each element, and which draws it takes.
struct Call {
  bool is_noise;
  Key key;
  uint64_t base;
  PyObject* strides;  // of the mask: a sequence, or None for row-major ones; borrowed
  double p;           // of a mask
  Affine affine;
  Law law;  // of noise
  NoiseAffine noise;

  Call(const Key& key, double p, const Affine& affine, PyObject* strides)
      : is_noise(false), key(key), base(0), strides(strides), p(p), affine(affine), law(),
        noise() {}

  static void check(PyObject* tuple) {
    require_type(PyTuple_Check(tuple) && PyTuple_Size(tuple) == 6,
                 "expected a call: a tuple of six");
  }

  // A seed of None is drawn.
  explicit Call(PyObject* tuple) : p(), affine(), law(), noise() {
    check(tuple);
    is_noise = is_true(PyTuple_GetItem(tuple, 0));
    base = bits_of(PyTuple_GetItem(tuple, 3));
    strides = PyTuple_GetItem(tuple, 4);
    PyObject* const constants = PyTuple_GetItem(tuple, 5);
    require_type(PyTuple_Check(constants) && PyTuple_Size(constants) == (is_noise ? 3 : 4),
                 "expected the four constants of a mask, or the three of noise");
    const auto number = [&](int i) { return PyFloat_AsDouble(PyTuple_GetItem(constants, i)); };
    if (is_noise) {
      const uint64_t which = bits_of(PyTuple_GetItem(constants, 0));
      require(which >= 1 && which <= 3, "expected a law of 1 to 3");
      law = static_cast<Law>(which);
      noise = {number(1), number(2)};
    } else {
      p = number(0);
      affine = {number(1), number(2), number(3)};
    }
    without_error(0);
    require(p >= 0.0 && p <= 1.0, "expected p to be in [0, 1]");
    PyObject* const seed = PyTuple_GetItem(tuple, 1);
    const uint64_t stream = bits_of(PyTuple_GetItem(tuple, 2));
    key = Key::of(seed == Py_None ? draw() : bits_of(seed), stream);
  }

  // The derivative: without what is added.
  Call linear() const {
    Call call = *this;
    call.affine.shift = call.affine.drop_value = call.noise.addend = 0.0;
    return call;
  }

  IndexedMask mask() const { return {key, Threshold::of(p), base}; }
};

// Mask strides: a sequence, or None for row-major ones.
std::vector<uint64_t> mask_strides(PyObject* sequence, const View& x) {
  std::vector<uint64_t> strides(static_cast<size_t>(x.dl.ndim), 1);
  if (sequence == Py_None) {
    for (int d = x.dl.ndim - 2; d >= 0; --d) {
      strides[d] = strides[d + 1] * static_cast<uint64_t>(x.size(d + 1));
    }
    return strides;
  }
  if (PySequence_Size(sequence) != x.dl.ndim) {
    PyErr_SetString(PyExc_ValueError, "expected a mask stride for each dimension");
    throw PythonError();
  }
  for (int d = 0; d < x.dl.ndim; ++d) {
    strides[d] = PyLong_AsUnsignedLongLongMask(Owned(PySequence_GetItem(sequence, d)).get());
  }
  if (PyErr_Occurred() != nullptr) throw PythonError();
  return strides;
}

// Lets other Python threads run during `work`, if it is long enough to be worth it.
template <class Work>
void without_gil(int64_t elements, const Work& work) {
  constexpr int64_t kWorthIt = 65536;
  if (elements < kWorthIt) return work();
  struct Released {
    PyThreadState* const state = PyEval_SaveThread();
    ~Released() { PyEval_RestoreThread(state); }
  } released;
  work();
}

// The addresses of the operands' elements; `bias` and `residual` may be null.
void lay_out(Job& job, const View& x, const View& y, const View* residual, const View* bias,
             PyObject* strides) {
  const int64_t x_item = item_size(job.x_type), y_item = item_size(job.y_type);
  if (strides == Py_None && bias == nullptr && x.contiguous() && y.contiguous() &&
      (residual == nullptr || residual->contiguous())) {
    job.add_dim(x.elements(), x_item, y_item, 1, 0, y_item);
    return;
  }
  const std::vector<uint64_t> mask = mask_strides(strides, x);
  const int64_t bias_item = job.y_type == DType::kFloat64 ? 8 : 4;
  for (int d = 0; d < x.dl.ndim; ++d) {
    const bool last = d == x.dl.ndim - 1;
    job.add_dim(x.size(d), x.stride(d) * x_item, y.stride(d) * y_item, mask[d], 0,
                residual ? residual->stride(d) * y_item : 0,
                bias && last ? bias->stride(0) * bias_item : 0);
  }
}

DType compute_type(DType type) {
  return type == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
}

// What the kernels rely on.
void check(Op op, const View& x, const View& y, const View* residual, const View* bias) {
  require(x.same_shape(y) && (residual == nullptr || x.same_shape(*residual)),
          "expected tensors of one shape");
  require_type(x.type.complex == y.type.complex && !(residual != nullptr && x.type.complex) &&
                   (residual == nullptr || (residual->type.real == y.type.real &&
                                            !residual->type.complex)) &&
                   selection.kernels.load()->runs(op, x.type.real, y.type.real).bits != nullptr,
               "expected tensors of types that a kernel takes together");
  require(bias == nullptr ||
              (x.dl.ndim > 0 && bias->dl.ndim == 1 && bias->size(0) == x.size(x.dl.ndim - 1) &&
               !bias->type.complex && bias->type.real == compute_type(y.type.real)),
          "expected a bias of the last size of x, in the compute type");
}

void run_mask(const Call& call, Op op, const View& x, const View& y, const View* residual = nullptr,
         const View* bias = nullptr) {
  check(op, x, y, residual, bias);
  Job job = {};
  job.op = op;
  job.x_type = x.type.real;
  job.y_type = y.type.real;
  job.affine = call.affine;
  job.at = {x.data(), y.data(), residual ? residual->data() : nullptr,
            bias ? bias->data() : nullptr, nullptr};
  job.keys = &call.key;
  job.threshold = Threshold::of(call.p);
  job.base = call.base;
  lay_out(job, x, y, residual, bias, call.strides);
  if (x.type.complex) add_pair(job);
  without_gil(x.elements(),
              [&] { torchdropout::run(*selection.kernels, job, on_torch_threads); });
}

PyObject* empty_like(PyObject* tensor) {
  return checked(PyObject_CallFunctionObjArgs(torch_side.empty_like, tensor, nullptr));
}

void run_noise(const Call& call, const View& x, const View& y) {
  require(!x.type.complex, "expected a tensor that is not complex");
  require(x.same_shape(y) && x.type.real == y.type.real && !y.type.complex,
          "expected two tensors of one shape and type");
  NoiseJob job = {x.type.real, call.law, call.noise, x.data(), y.data(), {}, &call.key, call.base};
  const int64_t item = item_size(job.type);
  if (call.strides == Py_None && x.contiguous() && y.contiguous()) {
    job.add_dim(x.elements(), item, item, 1);
  } else {
    const std::vector<uint64_t> mask = mask_strides(call.strides, x);
    for (int d = 0; d < x.dl.ndim; ++d) {
      job.add_dim(x.size(d), x.stride(d) * item, y.stride(d) * item, mask[d]);
    }
  }
  without_gil(x.elements(),
              [&] { torchdropout::run(*selection.kernels, job, on_torch_threads); });
}

// Write the result for x into y, and return y.
PyObject* write_into(PyObject* x_object, PyObject* y_object, const Call& call) {
  const View x = read_or_throw(x_object), y = read_or_throw(y_object);
  if (call.is_noise) {
    run_noise(call, x, y);
  } else {
    run_mask(call, affine_op(call.affine.shift), x, y);
  }
  return new_reference(y_object);
}

// The same for a tensor of the caller's: autograd must notice if its old values were saved.
PyObject* overwrite(PyObject* x, PyObject* y, const Call& call) {
  const Owned result(write_into(x, y, call));
  if (!method_is_true(y, torch_side.is_inference)) {
    Owned(PyObject_CallFunctionObjArgs(torch_side.written, y, nullptr));
  }
  return new_reference(y);
}

// --- functions -------------------------------------------------------------------------------

// Runs a body that may throw, and returns its result.
template <class Body>
PyObject* guarded(const Body& body) {
  try {
    return body();
  } catch (const PythonError&) {
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyObject* none() { Py_RETURN_NONE; }

PyObject* connect(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    Arguments in(args, n, 11);
    Connection found = {};
    for (PyObject** to : {&found.tensor_type, &found.parameter_type, &found.empty_like,
                          &found.watchers, &found.forward_ad, &found.level, &found.profiler,
                          &found.is_profiling, &found.apply, &found.linear, &found.written}) {
      *to = in.object();
    }
    const Owned capsule(PyObject_GetAttrString(found.tensor_type, "__dlpack_c_exchange_api__"));
    found.exchange = static_cast<const DLPackExchangeAPI*>(
        checked(PyCapsule_GetPointer(capsule.get(), "dlpack_exchange_api")));
    if (found.exchange->header.version.major != DLPACK_MAJOR_VERSION ||
        found.exchange->dltensor_from_py_object_no_sync == nullptr) {
      PyErr_SetString(PyExc_RuntimeError, "torch's DLPack exchange table is of another version");
      throw PythonError();
    }
    const auto name = [](const char* text) { return checked(PyUnicode_InternFromString(text)); };
    found.is_neg = name("is_neg");
    found.is_conj = name("is_conj");
    found.is_inference = name("is_inference");
    found.requires_grad = name("requires_grad");
    found.mark_dirty = name("mark_dirty");
    found.contiguous = name("contiguous");
    found.call = name("call");
    found.seed = new torch::stable::Tensor(
        torch::stable::empty({}, torch::headeronly::ScalarType::Long));
    for (Py_ssize_t i = 0; i < n; ++i) Py_INCREF(args[i]);
    torch_side = found;
    return none();
  });
}

PyObject* plain(PyObject*, PyObject* object) {
  return guarded([&] { return PyBool_FromLong(is_plain(object)); });
}

PyObject* draw_seed(PyObject*, PyObject*) {
  return guarded([] { return PyLong_FromUnsignedLongLong(draw()); });
}

// The result through `apply`, which gives it a gradient.
PyObject* with_gradient(PyObject* x, PyObject* in_place, PyObject* call) {
  return checked(PyObject_CallFunctionObjArgs(torch_side.apply, x, in_place, call, nullptr));
}

// The call with its seed, which is drawn if it is None; a new reference. It comes last: where the
// memory of the result cannot be had, nothing may have been drawn.
PyObject* with_seed(PyObject* call) {
  Call::check(call);
  if (PyTuple_GetItem(call, 1) != Py_None) return new_reference(call);
  PyObject* const drawn = checked(PyTuple_New(6));
  for (Py_ssize_t i = 0; i < 6; ++i) {
    PyTuple_SetItem(drawn, i, i == 1 ? PyLong_FromUnsignedLongLong(draw())
                                     : new_reference(PyTuple_GetItem(call, i)));
  }
  return drawn;
}

// (x, tensor to write into or None, whether that was checked, call). NotImplemented if a tensor is
// not plain, or if it was not checked and does not show at once that it may be written; nothing is
// drawn then.
PyObject* by_kernel(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    Arguments in(args, n, 4);
    PyObject* const x = in.object();
    PyObject* const y = in.object();
    const bool was_checked = in.object() == Py_True;
    PyObject* const call = in.object();
    const bool open = y == Py_None  ? is_plain(x)
                      : was_checked ? is_plain(x) && (y == x || is_plain(y))
                                    : may_be_written(x, y);
    if (!open) return new_reference(Py_NotImplemented);
    if (y == Py_None && !wants_gradient(x)) {
      const Owned into(empty_like(x));
      return write_into(x, into.get(), Call(call));
    }
    if ((y == Py_None || y == x) && wants_gradient(x)) {
      return with_gradient(x, y == x ? Py_True : Py_False, call);
    }
    return overwrite(x, y, Call(call));
  });
}

// Row-major mask strides, with 0 along the dimensions of the tuple; None where that is empty, and
// NotImplemented where it does not show at once that they are distinct dimensions of x.
PyObject* strides_without(PyObject* shared, const View& x) {
  require_type(PyTuple_Check(shared), "expected a tuple of dimensions");
  const Py_ssize_t n = PyTuple_Size(shared);
  if (n == 0) return new_reference(Py_None);
  std::vector<uint64_t> strides(static_cast<size_t>(x.dl.ndim), 1);
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* const item = PyTuple_GetItem(shared, i);
    int beyond = 0;  // then the number is -1
    const int64_t d = PyLong_CheckExact(item) ? PyLong_AsLongLongAndOverflow(item, &beyond) : -1;
    if (d < 0 || d >= x.dl.ndim || strides[d] == 0) return new_reference(Py_NotImplemented);
    strides[d] = 0;
  }
  uint64_t step = 1;
  PyObject* const result = checked(PyTuple_New(x.dl.ndim));
  for (int d = x.dl.ndim - 1; d >= 0; --d) {
    if (strides[d] != 0) {
      strides[d] = step;
      step *= static_cast<uint64_t>(x.size(d));
    }
    PyTuple_SetItem(result, d, PyLong_FromUnsignedLongLong(strides[d]));
  }
  return result;
}

// The dimensions along which a variant shares its draws: `shared`, or what it holds for the rank of x;
// None for a rank that it does not have. Borrowed.
PyObject* of_rank(PyObject* shared, const View& x) {
  require_type(PyTuple_Check(shared), "expected a tuple");
  const Py_ssize_t n = PyTuple_Size(shared);
  if (n == 0 || PyLong_CheckExact(PyTuple_GetItem(shared, 0))) return shared;
  return x.dl.ndim < n ? PyTuple_GetItem(shared, x.dl.ndim) : Py_None;
}

// A dropout of torch with a drawn key and no layout, as a user calls it: (x, p, dimensions along which
// the variant shares draws, or for each rank these dimensions or None, training, inplace, key,
// generator, broadcast_dims, layout, out, whether it is alpha dropout). NotImplemented for every
// other call, if p is not a float in [0, 1], x is not plain, it does not show at once that the tensor
// to write into may be written, or for the constants of alpha dropout.
PyObject* dropout(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    Arguments in(args, n, 11);
    PyObject* const x = in.object();
    PyObject* const p_object = in.object();
    PyObject* shared = in.object();
    PyObject* const training = in.object();
    PyObject* const in_place = in.object();
    PyObject* const key = in.object();
    PyObject* const generator = in.object();
    PyObject* const broadcast_dims = in.object();
    PyObject* const layout = in.object();
    PyObject* y = in.object();
    const bool is_alpha = in.object() == Py_True;
    if ((training != Py_True && training != Py_False) || key != Py_None ||
        generator != Py_None || layout != Py_None || !PyFloat_CheckExact(p_object) ||
        !PyTuple_CheckExact(broadcast_dims) || (in_place != Py_True && in_place != Py_False) ||
        (in_place == Py_True && y != Py_None)) {
      return new_reference(Py_NotImplemented);
    }
    const double p = PyFloat_AsDouble(p_object);
    const bool is_active = training == Py_True && p != 0.0;
    const bool given_dims = PyTuple_Size(broadcast_dims) > 0;
    if (!(p >= 0.0 && p <= 1.0) || (is_alpha && is_active && p < 1.0) ||
        (!is_active && (given_dims || y != Py_None))) {
      return new_reference(Py_NotImplemented);
    }
    if (is_active && in_place == Py_True) y = x;
    if (!(y == Py_None ? is_plain(x) : may_be_written(x, y))) {
      return new_reference(Py_NotImplemented);
    }
    const View view = read_or_throw(x);
    shared = of_rank(shared, view);
    if (shared == Py_None || (is_alpha && view.type.complex)) {
      return new_reference(Py_NotImplemented);
    }
    if (!is_active) return new_reference(x);
    if (given_dims) {
      if (PyTuple_Size(shared) > 0) return new_reference(Py_NotImplemented);
      shared = broadcast_dims;
    }
    const Owned strides(strides_without(shared, view));
    if (strides.get() == Py_NotImplemented) return new_reference(Py_NotImplemented);
    const double scale = p < 1.0 ? 1.0 / (1.0 - p) : 0.0;
    if (wants_gradient(x)) {
      const Owned call(Py_BuildValue("(OOiiO(Oddd))", Py_False, Py_None, 0, 0, strides.get(),
                                     p_object, scale, 0.0, 0.0));
      return with_gradient(x, Py_False, call.get());
    }
    const Owned into(y == Py_None ? empty_like(x) : new_reference(y));
    const Call call({draw(), 0}, p, {scale, 0.0, 0.0}, strides.get());
    return y == Py_None ? write_into(x, into.get(), call) : overwrite(x, y, call);
  });
}

PyObject* write(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    Arguments in(args, n, 3);
    PyObject* const x = in.object();
    PyObject* const y = in.object();
    return write_into(x, y, Call(in.object()));
  });
}

// Forward and backward of an autograd.Function: (ctx, x, in_place, call) and (ctx, gradient). The
// tensor is not passed a second time: its second edge would have a gradient of None.
PyObject* forward(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    Arguments in(args, n, 4);
    PyObject* const context = in.object();
    PyObject* const x = in.object();
    const bool in_place = in.object() == Py_True;
    const Owned into(in_place ? new_reference(x) : empty_like(x));
    if (in_place) {
      Owned(PyObject_CallMethodObjArgs(context, torch_side.mark_dirty, x, nullptr));
    }
    const Owned call(with_seed(in.object()));
    if (PyObject_SetAttr(context, torch_side.call, call.get()) != 0) throw PythonError();
    return write_into(x, into.get(), Call(call.get()));
  });
}

PyObject* backward(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    Arguments in(args, n, 2);
    PyObject* const context = in.object();
    PyObject* const gradient = in.object();
    const Owned call(PyObject_GetAttr(context, torch_side.call));
    PyObject* result;
    if (!wants_gradient(gradient) && is_plain(gradient)) {
      const Call linear = Call(call.get()).linear();
      if (linear.is_noise && linear.noise.factor == 0.0) {  // y = x + noise
        result = new_reference(gradient);
      } else {
        // A copy, and then in place, takes less time than reading a vector element by element.
        const bool copied = read_or_throw(gradient).expanded();
        const Owned into(copied
                             ? PyObject_CallMethodObjArgs(gradient, torch_side.contiguous, nullptr)
                             : empty_like(gradient));
        result = write_into(copied ? into.get() : gradient, into.get(), linear);
      }
    } else {
      result = checked(
          PyObject_CallFunctionObjArgs(torch_side.linear, gradient, call.get(), nullptr));
    }
    const Owned owned(result);
    return PyTuple_Pack(3, result, Py_None, Py_None);
  });
}

PyObject* add(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    Arguments in(args, n, 5);
    const View x = read_or_throw(in.object());
    const View residual = read_or_throw(in.object());
    PyObject* const bias = in.object();
    PyObject* const y = in.object();
    const Call call(in.object());
    if (bias == Py_None) {
      run_mask(call, Op::kAdd, x, read_or_throw(y), &residual);
    } else {
      const View bias_view = read_or_throw(bias);
      run_mask(call, Op::kAddBias, x, read_or_throw(y), &residual, &bias_view);
    }
    return new_reference(y);
  });
}

PyObject* sums(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    Arguments in(args, n, 4);
    const View x = read_or_throw(in.object());
    const View y = read_or_throw(in.object());
    const View out = read_or_throw(in.object());
    const Call call(in.object());
    const int64_t columns = out.elements();
    const int64_t all = x.elements();
    require(x.same_shape(y) && (all == 0 || (x.contiguous() && y.contiguous())) &&
                out.dl.ndim == 1 && out.contiguous() &&
                all % std::max<int64_t>(columns, 1) == 0 && (columns > 0 || all == 0),
            "expected contiguous tensors of one shape, and sums of their columns");
    require_type(!x.type.complex && !y.type.complex && !out.type.complex &&
                     out.type.real == compute_type(x.type.real) &&
                     selection.kernels.load()->runs(Op::kSum, x.type.real, y.type.real).bits !=
                         nullptr,
                 "expected tensors of types that a kernel takes together");
    const SumsJob job = {x.type.real, y.type.real, call.affine.scale,
                         x.data(),    y.data(),    out.data(),
                         columns == 0 ? 0 : x.elements() / columns,
                         columns,     call.mask()};
    without_gil(x.elements(),
                [&] { torchdropout::run(*selection.kernels, job, on_torch_threads); });
    return none();
  });
}

Key read_key(Arguments& in) {
  const uint64_t seed = bits_of(in.object());
  return Key::of(seed, bits_of(in.object()));
}

// A view of integers, unlike `read`, which accepts the types of dropout.
View read_integers(PyObject* object) {
  View view = {};
  if (torch_side.exchange->dltensor_from_py_object_no_sync(object, &view.dl) != 0) {
    throw PythonError();
  }
  require_type(view.dl.device.device_type == kDLCPU && view.dl.dtype.code == kDLInt &&
                   view.dl.dtype.bits == 64 && view.dl.ndim > 0 && view.contiguous() &&
                   (view.dl.data != nullptr || view.elements() == 0),
               "expected a contiguous int64 CPU tensor");
  return view;
}

PyObject* drop_blocks(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    Arguments in(args, n, 9);
    PyObject* const x_object = in.object();
    if (selection.reference || !is_plain(x_object)) Py_RETURN_NOTIMPLEMENTED;
    const View x = read_or_throw(x_object);
    if (x.type.complex || !x.contiguous()) Py_RETURN_NOTIMPLEMENTED;
    BlocksJob job = {};
    job.key = read_key(in);
    const double rate = PyFloat_AsDouble(in.object());
    job.base = bits_of(in.object());
    const std::vector<uint64_t> strides = mask_strides(in.object(), x);
    const uint64_t along = bits_of(in.object());
    job.block = static_cast<int64_t>(bits_of(in.object()));
    job.scale = PyFloat_AsDouble(in.object());
    if (PyErr_Occurred() != nullptr) throw PythonError();
    require(rate >= 0.0 && rate <= 1.0, "expected a rate in [0, 1]");
    if (along < 1 || along > 8 || along > static_cast<uint64_t>(x.dl.ndim) || job.block < 1) {
      Py_RETURN_NOTIMPLEMENTED;
    }
    const int dims = static_cast<int>(along);
    job.threshold = Threshold::of(rate);
    if (job.threshold.high > 65535) Py_RETURN_NOTIMPLEMENTED;  // all is dropped: keep_bits' limit
    const int outer = x.dl.ndim - dims;
    uint64_t row_major = 1;
    for (int d = x.dl.ndim - 1; d >= outer; --d) {
      if (strides[d] != row_major || (job.block > x.size(d) && x.elements() > 0)) {
        Py_RETURN_NOTIMPLEMENTED;
      }
      row_major *= static_cast<uint64_t>(x.size(d) + job.block - 1);
    }
    for (int d = 0; d < outer; ++d) job.outer.push_back({x.size(d), strides[d]});
    for (int d = outer; d < x.dl.ndim; ++d) job.sizes.push_back(x.size(d));
    const Owned y_object(empty_like(x_object));
    const View y = read_or_throw(y_object.get());
    job.type = x.type.real;
    job.x = x.data();
    job.y = y.data();
    without_gil(x.elements(),
                [&] { torchdropout::run(*selection.kernels, job, on_torch_threads); });
    return new_reference(y_object.get());
  });
}

PyObject* counted(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    Arguments in(args, n, 8);
    PyObject* const x_object = in.object();
    if (selection.reference || !is_plain(x_object)) Py_RETURN_NOTIMPLEMENTED;
    const View x = read_or_throw(x_object);
    if (x.type.complex || !x.contiguous()) Py_RETURN_NOTIMPLEMENTED;
    GroupsJob job = {};
    job.key = read_key(in);
    job.domain = static_cast<uint32_t>(bits_of(in.object()));
    job.base = bits_of(in.object());
    const uint64_t group = bits_of(in.object()), kept = bits_of(in.object());
    job.scale = PyFloat_AsDouble(in.object());
    if (PyErr_Occurred() != nullptr) throw PythonError();
    require(group >= 1 && group <= 64 && kept <= group &&
                static_cast<uint64_t>(x.elements()) % group == 0,
            "expected whole groups of up to 64, and as many kept or fewer");
    job.group = static_cast<int>(group);
    job.kept = static_cast<int>(kept);
    const Owned y_object(empty_like(x_object));
    const View y = read_or_throw(y_object.get());
    job.type = x.type.real;
    job.x = x.data();
    job.y = y.data();
    job.groups = x.elements() / job.group;
    without_gil(x.elements(),
                [&] { torchdropout::run(*selection.kernels, job, on_torch_threads); });
    return new_reference(y_object.get());
  });
}

PyObject* choose(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    Arguments in(args, n, 7);
    if (selection.reference || torch_side.exchange == nullptr) Py_RETURN_NOTIMPLEMENTED;
    const View places = read_integers(in.object());
    PlacesJob job = {};
    job.key = read_key(in);
    job.domain = static_cast<uint32_t>(bits_of(in.object()));
    job.base = bits_of(in.object());
    job.size = static_cast<int64_t>(bits_of(in.object()));
    job.ascending = PyObject_IsTrue(in.object()) == 1;
    without_error(0);
    job.rows = 1;
    for (int d = 0; d + 1 < places.dl.ndim; ++d) job.rows *= places.size(d);
    job.kept = places.size(places.dl.ndim - 1);
    require(job.size >= 1 && job.size >> 32 == 0 && job.kept <= job.size,
            "expected a size of 1 to 2**32 - 1, and as many kept or fewer");
    job.places = static_cast<int64_t*>(places.data());
    without_gil(job.rows * job.size,
                [&] { torchdropout::run(*selection.kernels, job, on_torch_threads); });
    return none();
  });
}

PyObject* usable(PyObject*, PyObject*) {
  return guarded([] {
    const std::vector<const Kernels*> kernels = usable_kernels();
    const Owned tuple(PyTuple_New(static_cast<Py_ssize_t>(kernels.size())));
    for (size_t i = 0; i < kernels.size(); ++i) {
      PyTuple_SetItem(tuple.get(), static_cast<Py_ssize_t>(i),
                      checked(PyUnicode_FromString(kernels[i]->name)));
    }
    return new_reference(tuple.get());
  });
}

std::string text(PyObject* object) {
  require_type(PyUnicode_Check(object), "expected a string");
  Py_ssize_t size = 0;
  return checked(PyUnicode_AsUTF8AndSize(object, &size));
}

PyObject* why_not(PyObject*, PyObject* name) {
  return guarded([&] { return PyUnicode_FromString(lacking(text(name)).c_str()); });
}

PyObject* select(PyObject*, PyObject* name) {
  return guarded([&] {
    if (name == Py_None) {
      selection.reference = true;
      return none();
    }
    const std::string wanted = text(name);
    for (const Kernels* kernels : usable_kernels()) {
      if (wanted == kernels->name) {
        selection.kernels = kernels;
        selection.reference = false;
        return none();
      }
    }
    return PyErr_Format(PyExc_ValueError, "no kernels of that name can run here");
  });
}

template <class Function>
PyCFunction as_method(Function* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"connect", as_method(connect), METH_FASTCALL,
     "connect(tensor_type, parameter_type, empty_like, watchers, forward_ad, level, profiler, "
     "is_profiling, apply, linear, written)"},
    {"plain", plain, METH_O, "whether a kernel may read a tensor's memory, unobserved"},
    {"draw_seed", draw_seed, METH_NOARGS, "one 64-bit number from torch's default CPU generator"},
    {"by_kernel", as_method(by_kernel), METH_FASTCALL,
     "by_kernel(x, y or None, checked, call) -> y, or NotImplemented; a seed of None is drawn"},
    {"dropout", as_method(dropout), METH_FASTCALL,
     "dropout(x, p, shared, training, inplace, key, generator, broadcast_dims, layout, out, "
     "is_alpha) -> y with a drawn key, or NotImplemented"},
    {"write", as_method(write), METH_FASTCALL, "write(x, y, call) -> y, also where it is observed"},
    {"forward", as_method(forward), METH_FASTCALL,
     "forward(ctx, x, in_place, call) -> y; a seed of None is drawn"},
    {"backward", as_method(backward), METH_FASTCALL,
     "backward(ctx, gradient) -> (gradient, None, None)"},
    {"add", as_method(add), METH_FASTCALL, "add(x, residual, bias or None, y, call) -> y"},
    {"sums", as_method(sums), METH_FASTCALL, "sums(x, y, sums, call)"},
    {"counted", as_method(counted), METH_FASTCALL,
     "counted(x, seed, stream, domain, base, group, kept, scale) -> y, or NotImplemented; x has "
     "whole groups of up to 64"},
    {"choose", as_method(choose), METH_FASTCALL,
     "choose(places, seed, stream, domain, base, size, ascending), or NotImplemented; places is a "
     "contiguous int64 tensor, and its last dimension how many of `size` are chosen"},
    {"drop_blocks", as_method(drop_blocks), METH_FASTCALL,
     "drop_blocks(x, seed, stream, rate, base, strides, dims, block, scale) -> y, or "
     "NotImplemented; rate in (0, 1)"},
    {"usable", usable, METH_NOARGS, "names of the usable kernels, the fastest last"},
    {"why_not", why_not, METH_O, "what is missing to run the kernels of a name"},
    {"select", select, METH_O, "run the kernels of a name from now on; None: the reference"},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "torchdropout._C", "The compiled kernels.", -1, methods,
    nullptr,               nullptr,           nullptr,                 nullptr,
};

}  // namespace
}  // namespace torchdropout

PyMODINIT_FUNC PyInit__C() {
  PyObject* const module = PyModule_Create(&torchdropout::definition);
  // kernels/cpu.py refuses a file that was built for another version of the package.
  if (module != nullptr) PyModule_AddStringConstant(module, "version", TORCHDROPOUT_VERSION);
  return module;
}
