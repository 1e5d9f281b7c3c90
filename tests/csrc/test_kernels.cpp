// The compiled kernels against their definition, docs/contract.md, written again here: nothing of
// csrc/ is used but its types and the functions under test. Deterministic; no torch, no Python.
//
//   test_kernels [--cases=N] [--only=SECTION] [--kernels=NAMES] [--thin=K] [--break=NAME]
//
// --cases: random jobs in total over the instruction sets (and a tenth as many sums).
// --thin: take every K-th length only, for slow instruments. --break: damage what is tested, to see
// that the tests notice. Exits with 0, with 1 at the first difference, with 3 after a crash.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "choice.h"
#include "job.h"
#include "kernels.h"

namespace {

using torchdropout::Affine;
using torchdropout::Dim;
using torchdropout::DType;
using torchdropout::IndexedMask;
using torchdropout::Job;
using torchdropout::Kernels;
using torchdropout::Key;
using torchdropout::kNoisePiece;
using torchdropout::Law;
using torchdropout::NoiseAffine;
using torchdropout::NoiseJob;
using torchdropout::Op;
using torchdropout::Operands;
using torchdropout::ParallelFor;
using torchdropout::Runs;
using torchdropout::SumsJob;
using torchdropout::Threshold;

constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16};
constexpr const char* kTypeNames[] = {"float32", "float64", "float16", "bfloat16"};
constexpr Op kOps[] = {Op::kScale, Op::kShift, Op::kAdd, Op::kAddBias, Op::kSum};
constexpr const char* kOpNames[] = {"scale", "shift", "add", "add_bias", "sum"};
const char* name(DType type) { return kTypeNames[static_cast<int>(type)]; }
const char* name(Op op) { return kOpNames[static_cast<int>(op)]; }

// --- reports ------------------------------------------------------------------------------------

struct Options {
  uint64_t cases = 30000;
  std::string only, kernels, broken;
  int thin = 1;
} options;

const char* section = "start";
uint64_t checks = 0;  // comparisons of a whole result

[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char* format, ...) {
  std::printf("FAILED in %s: ", section);
  va_list values;
  va_start(values, format);
  std::vprintf(format, values);
  va_end(values);
  std::printf("\n");
  std::fflush(stdout);
  std::_Exit(1);
}

void crashed(int signal) {
  const char text[] = "CRASHED in ";
  (void)!write(STDOUT_FILENO, text, sizeof text - 1);
  (void)!write(STDOUT_FILENO, section, std::strlen(section));
  (void)!write(STDOUT_FILENO, "\n", 1);
  (void)signal;
  std::_Exit(3);
}

bool breaks(const char* what) { return options.broken == what; }

// --- random numbers for the tests ---------------------------------------------------------------

struct Rng {
  uint64_t state;
  uint64_t next() {  // splitmix64
    uint64_t z = (state += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  double real() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  bool chance(double p) { return real() < p; }
  template <class T, size_t n>
  T of(const T (&values)[n]) {
    return values[below(n)];
  }
};

// --- the definition: keep bits ------------------------------------------------------------------

void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3];
  uint32_t k = key[0], l = key[1];
  for (int round = 0; round < 10; ++round) {
    const uint64_t p = static_cast<uint64_t>(a) * 0xD2511F53u;
    const uint64_t q = static_cast<uint64_t>(c) * 0xCD9E8D57u;
    a = static_cast<uint32_t>(q / 4294967296u) ^ b ^ k;
    b = static_cast<uint32_t>(q % 4294967296u);
    c = static_cast<uint32_t>(p / 4294967296u) ^ d ^ l;
    d = static_cast<uint32_t>(p % 4294967296u);
    k += 0x9E3779B9u;
    l += 0xBB67AE85u;
  }
  out[0] = a, out[1] = b, out[2] = c, out[3] = d;
}

// The uniforms of a key, those of the last block remembered.
struct Uniforms {
  Key key = {};
  uint64_t block = 0;
  bool there = false;
  uint32_t values[8] = {};

  uint32_t at(const Key& k, uint64_t index) {
    if (!there || block != index / 8 || key.seed != k.seed || key.stream != k.stream) {
      key = k;
      block = index / 8;
      there = true;
      uint32_t high[4], low[4];
      words(0, high);
      words(8, low);
      for (int i = 0; i < 8; ++i) {
        const uint32_t h = i % 2 == 0 ? high[i / 2] & 0xFFFF : high[i / 2] >> 16;
        const uint32_t l = i % 2 == 0 ? low[i / 2] & 0xFFFF : low[i / 2] >> 16;
        values[i] = h << 16 | l;
      }
    }
    return values[index % 8];
  }

  void words(uint32_t domain, uint32_t out[4]) const {
    const uint32_t counter[4] = {
        static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
        static_cast<uint32_t>(key.stream),
        static_cast<uint32_t>(key.stream >> 32 & 0x0FFFFFFF) | domain << 28};
    const uint32_t k[2] = {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)};
    philox(counter, k, out);
  }
};

Threshold threshold(uint64_t t) {
  return {static_cast<uint32_t>(t >> 16), static_cast<uint32_t>(t & 0xFFFF)};
}

// --- the definition: numbers --------------------------------------------------------------------

int size_of(DType type) {
  return type == DType::kFloat64 ? 8 : type == DType::kFloat32 ? 4 : 2;
}
DType compute_type(DType x) { return x == DType::kFloat64 ? x : DType::kFloat32; }

struct Format {
  int fraction, bias;
};
Format format_of(DType type) { return type == DType::kFloat16 ? Format{10, 15} : Format{7, 127}; }

double decode16(Format format, uint32_t bits) {
  const int ones = (1 << (15 - format.fraction)) - 1;
  const int exponent = static_cast<int>(bits >> format.fraction) & ones;
  const int fraction = static_cast<int>(bits) & ((1 << format.fraction) - 1);
  double value;
  if (exponent == ones) {
    value = fraction != 0 ? NAN : INFINITY;
  } else if (exponent == 0) {
    value = std::ldexp(fraction, 1 - format.bias - format.fraction);
  } else {
    value = std::ldexp((1 << format.fraction) + fraction, exponent - format.bias - format.fraction);
  }
  return bits >> 15 ? -value : value;
}

// To nearest, ties to even: every step but nearbyint is exact.
uint16_t encode16(Format format, double value) {
  const int exponents = 1 << (15 - format.fraction);
  const auto infinity = static_cast<uint32_t>((exponents - 1) << format.fraction);
  if (std::isnan(value)) return static_cast<uint16_t>(infinity | 1);
  const uint32_t sign = std::signbit(value) ? 0x8000 : 0;
  value = std::fabs(value);
  uint32_t bits = infinity;
  if (value == 0) {
    bits = 0;
  } else if (!std::isinf(value)) {
    const int least = 1 - format.bias;
    const int exponent = std::max(std::ilogb(value), least);
    const auto units =
        static_cast<int64_t>(std::nearbyint(std::ldexp(value, format.fraction - exponent)));
    // A unit that carries moves the exponent up by itself; a subnormal has no leading one.
    const int64_t whole = (static_cast<int64_t>(exponent - least) << format.fraction) + units;
    bits = static_cast<uint32_t>(std::min<int64_t>(whole, infinity));
  }
  return static_cast<uint16_t>(sign | bits);
}

const std::vector<double>& decoded16(DType type) {
  static const auto all = [](DType t) {
    std::vector<double> values(65536);
    for (uint32_t i = 0; i < 65536; ++i) values[i] = decode16(format_of(t), i);
    return values;
  };
  static const std::vector<double> half = all(DType::kFloat16), brain = all(DType::kBFloat16);
  return type == DType::kFloat16 ? half : brain;
}

template <class T>
T read(const unsigned char* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

double decode(DType type, const unsigned char* p) {
  if (type == DType::kFloat64) return read<double>(p);
  if (type == DType::kFloat32) return read<float>(p);
  return decoded16(type)[read<uint16_t>(p)];
}

void encode(DType type, double value, unsigned char* p) {
  if (type == DType::kFloat64) {
    std::memcpy(p, &value, 8);
  } else if (type == DType::kFloat32) {
    const auto rounded = static_cast<float>(value);
    std::memcpy(p, &rounded, 4);
  } else {
    const uint16_t bits = encode16(format_of(type), value);
    std::memcpy(p, &bits, 2);
  }
}

// The same bits, or NaN both.
bool same_element(DType type, const unsigned char* a, const unsigned char* b) {
  if (std::memcmp(a, b, static_cast<size_t>(size_of(type))) == 0) return true;
  return std::isnan(decode(type, a)) && std::isnan(decode(type, b));
}

int64_t first_difference(DType type, const unsigned char* a, const unsigned char* b, int64_t n) {
  const int item = size_of(type);
  if (n == 0 || std::memcmp(a, b, static_cast<size_t>(n * item)) == 0) return -1;
  for (int64_t i = 0; i < n; ++i) {
    if (!same_element(type, a + i * item, b + i * item)) return i;
  }
  return -1;
}

// A value of the compute type. A product of two floats is exact as a double, and a sum of two
// rounded to double and then to float is the sum rounded to float.
double in_compute(DType compute, double value) {
  return compute == DType::kFloat64 ? value : static_cast<double>(static_cast<float>(value));
}

bool has_residual(Op op) { return op == Op::kAdd || op == Op::kAddBias; }

double result(Op op, DType compute, const Affine& affine, bool keep, double x, double residual,
              double bias) {
  const auto rounded = [&](double value) { return in_compute(compute, value); };
  const double scale = rounded(affine.scale);
  double value = 0;
  if (keep) {
    if (op == Op::kAddBias) x = rounded(x + bias);
    value = rounded(x * scale);
    if (op == Op::kShift) value = rounded(value + rounded(affine.shift));
  } else if (op == Op::kScale || op == Op::kShift) {
    value = rounded(affine.drop_value);
  }
  return has_residual(op) ? rounded(residual + value) : value;
}

// --- values to test with ------------------------------------------------------------------------

void special(Rng& rng, DType type, unsigned char* p) {
  uint64_t bits = 0;
  const int width = size_of(type) * 8;
  const int fraction = type == DType::kFloat64   ? 52
                       : type == DType::kFloat32 ? 23
                                                 : format_of(type).fraction;
  const uint64_t infinity = ((uint64_t{1} << (width - 1 - fraction)) - 1) << fraction;
  const uint64_t normal = uint64_t{1} << fraction;  // the smallest
  switch (rng.below(9)) {
    case 0: bits = 0; break;
    case 1: bits = 1; break;                  // the smallest subnormal
    case 2: bits = normal - 1; break;         // the largest subnormal
    case 3: bits = normal; break;
    case 4: bits = infinity - 1; break;       // the largest finite
    case 5: bits = infinity; break;
    case 6: bits = infinity | 1; break;       // a signalling NaN
    case 7: bits = infinity | (normal - 1); break;  // NaN with all of its payload
    default: bits = infinity >> 1 & ~(normal - 1); break;  // a power of two near 1
  }
  bits |= (rng.next() & 1) << (width - 1);
  std::memcpy(p, &bits, static_cast<size_t>(size_of(type)));
}

enum class Values { kOrdinary, kAny };

void fill(Rng& rng, DType type, Values values, unsigned char* p, int64_t n) {
  const int item = size_of(type);
  for (int64_t i = 0; i < n; ++i, p += item) {
    const int64_t kind = values == Values::kAny ? rng.below(8) : 7;
    if (kind == 0) {
      special(rng, type, p);
    } else if (kind == 1) {
      const uint64_t bits = rng.next();
      std::memcpy(p, &bits, static_cast<size_t>(item));
    } else {
      encode(type, (rng.real() - 0.5) * 8, p);
    }
  }
}

// Made once for each type; cases copy from random places of it.
const std::vector<unsigned char>& pool(DType type, Values values) {
  constexpr int64_t kElements = 1 << 16;
  static std::vector<unsigned char> pools[4][2];
  auto& bytes = pools[static_cast<int>(type)][static_cast<int>(values)];
  if (bytes.empty()) {
    Rng rng = {static_cast<uint64_t>(type) * 2 + static_cast<uint64_t>(values)};
    bytes.resize(static_cast<size_t>(kElements * size_of(type)));
    fill(rng, type, values, bytes.data(), kElements);
  }
  return bytes;
}

void from_pool(Rng& rng, DType type, Values values, unsigned char* to, int64_t n) {
  const auto& bytes = pool(type, values);
  const int item = size_of(type);
  while (n > 0) {
    const auto all = static_cast<int64_t>(bytes.size()) / item;
    const int64_t start = rng.below(all);
    const int64_t here = std::min(n, all - start);
    std::memcpy(to, bytes.data() + start * item, static_cast<size_t>(here * item));
    to += here * item;
    n -= here;
  }
}

Key random_key(Rng& rng) {
  Key key = {rng.next(), rng.next() >> 4};
  switch (rng.below(5)) {
    case 0: return {0, 0};
    case 1: return {key.seed & 0xFFFFFFFF, key.stream & 0xFFFFFFFF};
    case 2: return {key.seed | uint64_t{0xF0000001} << 32, key.stream | uint64_t{0xF0001} << 40};
    default: return key;
  }
}

constexpr uint64_t kBlockCarry = uint64_t{1} << 35;  // 8 * 2**32
constexpr uint64_t kBases[] = {0,
                               (uint64_t{1} << 32) - 100,
                               kBlockCarry - 150,
                               3 * kBlockCarry - 64,
                               (uint64_t{1} << 33) - 70,
                               (uint64_t{1} << 63) - 129,
                               uint64_t(0) - 5000,
                               uint64_t(0) - 140};

uint64_t random_base(Rng& rng) {
  switch (rng.below(4)) {
    case 0: return static_cast<uint64_t>(rng.below(100000));
    case 1: return rng.next();
    default: return rng.of(kBases) + static_cast<uint64_t>(rng.below(200));
  }
}

uint64_t of_probability(double p) {
  return static_cast<uint64_t>(std::rint(static_cast<long double>(p) * 4294967296.0L));
}

uint64_t random_threshold(Rng& rng) {
  const uint64_t all = uint64_t{1} << 32;
  const uint64_t edges[] = {0, 1, 0xFFFF, 0x10000, 0x10001, 0xFFFF0000, all - 1};
  const double usual[] = {0.1, 0.2, 0.5, 0.9};
  switch (rng.below(6)) {
    case 0: return rng.of(edges);
    case 1: return rng.chance(0.3) ? all : rng.next() >> 32;
    default: return of_probability(rng.of(usual));
  }
}

Affine random_affine(Rng& rng) {
  const double values[] = {0.0, -0.0, 1.0, -1.7580993408473766, INFINITY, NAN, 1e-40, 1e30, 1e-300};
  const auto any = [&] { return rng.chance(0.3) ? rng.of(values) : (rng.real() - 0.4) * 6; };
  return {rng.chance(0.7) ? 1 / (1 - 0.9 * rng.real()) : any(), any(), any()};
}

// --- what is under test, and its damaged forms --------------------------------------------------

const Kernels* healthy = nullptr;  // what the damaged table falls back on

void damaged_keep_bits(const IndexedMask& mask, int64_t n, uint64_t* bits) {
  IndexedMask m = mask;
  if (breaks("tie")) m.threshold.low = 0;
  if (breaks("tie-or-equal")) m.threshold.low += 1;
  if (breaks("block-carry")) m.index %= kBlockCarry;
  if (breaks("seed-high")) m.key.seed &= 0xFFFFFFFF;
  if (breaks("stream-high")) m.key.stream &= 0xFFFFFFFF;
  healthy->keep_bits(m, n, bits);
  if (breaks("keep-bit") && n > 137) bits[2] ^= uint64_t{1} << 9;
  if (breaks("keep-tail") && n % 64 == 1) bits[n / 64] ^= 1;
  if (breaks("keep-overrun")) bits[(n + 63) / 64] = 1;
}

template <class Call>
void damaged_run(Op op, DType x, DType y, const Affine& affine, const Operands& at, int64_t n,
                 bool streaming, const Call& call) {
  const int x_size = size_of(x), y_size = size_of(y), c_size = size_of(compute_type(x));
  auto* const to = static_cast<unsigned char*>(at.y);
  const auto* const from = static_cast<const unsigned char*>(at.x);
  Affine a = affine;
  std::vector<unsigned char> x_before(from, from + n * x_size), sums_before;
  if (op == Op::kSum) {
    const auto* sums = static_cast<const unsigned char*>(at.sums);
    sums_before.assign(sums, sums + n * c_size);
  }
  if (breaks("in-place") && at.x == at.y && n > 1) std::memcpy(to + x_size, to, x_size);
  if (breaks("scale-ulp")) a.scale = std::nextafter(static_cast<float>(a.scale), 9.f);
  if (breaks("drop-value")) a.drop_value = 0.0;
  if (breaks("read-past-end") && n > 0) {
    volatile unsigned char past = from[n * x_size];
    (void)past;
  }
  if (breaks("read-before-start") && n > 0) {
    volatile unsigned char past = from[-1];
    (void)past;
  }
  call(a, breaks("tail") && n % 64 == 63 ? n - 1 : n);
  if (breaks("overrun") && n % 64 == 63) to[n * y_size] = 0;
  if (breaks("streaming") && streaming && n >= 64 && reinterpret_cast<uintptr_t>(to) % 64 == 0) {
    std::memset(to + 63 * y_size, 0x11, static_cast<size_t>(y_size));
  }
  for (int64_t i = 0; i < n; ++i) {
    unsigned char* const element = to + i * y_size;
    const double value = decode(y, element);
    const double x_value = decode(x, x_before.data() + i * x_size);
    if (breaks("dropped-product") && value == 0 && std::isnan(x_value)) encode(y, NAN, element);
    if (breaks("dropped-sign") && value == 0 && std::signbit(x_value)) element[y_size - 1] |= 0x80;
    if (breaks("nan-to-infinity") && y_size == 2 && std::isnan(value)) encode(y, INFINITY, element);
    if (breaks("subnormal-to-zero") && y_size == 2 && std::fabs(value) < 0x1p-126) {
      encode(y, std::copysign(0.0, value), element);
    }
    if (breaks("ties-away") && op == Op::kScale && x == DType::kFloat32 && y_size == 2) {
      const uint64_t down = encode16(format_of(y), std::nextafter(x_value, 0.0)) & 0xFFFF;
      const uint64_t up = encode16(format_of(y), std::nextafter(x_value, x_value * 2)) & 0xFFFF;
      if (a.scale == 1 && value != 0 && down != up) std::memcpy(element, &up, 2);
    }
    if (breaks("fused") && op == Op::kShift && x == DType::kFloat32 && value != a.drop_value) {
      encode(y, std::fma(float(x_value), float(a.scale), float(a.shift)), element);
    }
    if (breaks("sum-of-rounded") && op == Op::kSum && y_size == 2) {
      const double sum = decode(compute_type(x), sums_before.data() + i * c_size);
      encode(compute_type(x), sum + value, static_cast<unsigned char*>(at.sums) + i * c_size);
    }
    if (breaks("sum-overwritten") && op == Op::kSum) {
      encode(compute_type(x), value, static_cast<unsigned char*>(at.sums) + i * c_size);
    }
  }
}

// The last table that was requested; the tests request one at a time.
struct {
  Op op;
  DType x, y;
} asked;

void damaged_indexed(const Affine& affine, const Operands& at, int64_t n, const IndexedMask& mask,
                     bool streaming) {
  IndexedMask m = mask;
  if (breaks("tie-in-run")) m.threshold.low = 0;
  if (breaks("block-carry-in-run")) m.index %= kBlockCarry;
  if (breaks("index-of-run")) m.index += n == 201;
  damaged_run(asked.op, asked.x, asked.y, affine, at, n, streaming,
              [&](const Affine& a, int64_t length) {
                healthy->runs(asked.op, asked.x, asked.y).indexed(a, at, length, m, streaming);
              });
}

void damaged_bits(const Affine& affine, const Operands& at, int64_t n, const uint64_t* words,
                  bool streaming) {
  std::vector<uint64_t> w(words, words + (n + 63) / 64);
  if (breaks("bits-of-run") && n > 64) w[1] ^= 2;
  if (breaks("bits-past-end")) {
    volatile uint64_t past = words[(n + 63) / 64];
    (void)past;
  }
  damaged_run(asked.op, asked.x, asked.y, affine, at, n, streaming,
              [&](const Affine& a, int64_t length) {
                healthy->runs(asked.op, asked.x, asked.y).bits(a, at, length, w.data(), streaming);
              });
}

Runs damaged_runs(Op op, DType x, DType y) {
  if (breaks("types") && op == Op::kScale && x == DType::kFloat64) return {nullptr, nullptr};
  if (healthy->runs(op, x, y).indexed == nullptr) return {nullptr, nullptr};
  asked = {op, x, y};
  return {damaged_indexed, damaged_bits};
}

void damaged_noise_words(const Key& key, uint32_t domain, uint64_t index, int64_t n,
                         uint32_t* words) {
  Key k = key;
  if (breaks("noise-carry")) index %= uint64_t{1} << 34;
  if (breaks("noise-stream")) k.stream &= 0xFFFFFFFF;
  if (breaks("noise-domain")) domain &= 1;
  healthy->noise_words(k, domain, index, n, words);
  if (breaks("noise-word") && n % 32 == 1) words[n - 1] ^= 1;
}

void damaged_noise(Law law, int64_t n, const uint32_t* words, float* e) {
  healthy->noise(law, n, words, e);
  for (int64_t i = 0; i < n; ++i) {
    const double q = (words[i] + 0.5) / 0x1p32 - 0.5;
    if (breaks("noise-ulp") && words[i] % 1024 == 7) e[i] = std::nextafter(e[i], 9.0f);
    if (breaks("noise-tail") && std::fabs(q) > 0.499) e[i] = std::nextafter(e[i], 0.0f);
    if (breaks("noise-sign") && std::fabs(q) > 0.425) e[i] = std::fabs(e[i]);
  }
}

DType noise_type;

void damaged_run_noise(const NoiseAffine& affine, const void* x, void* y, int64_t n,
                       const float* e) {
  NoiseAffine a = affine;
  if (breaks("noise-addend") && n % 16 != 0) a.addend = 0;
  if (breaks("noise-factor")) a.factor = std::nextafter(static_cast<float>(a.factor), 1e9f);
  healthy->run_noise(noise_type)(a, x, y, n, e);
  const int size = noise_type == DType::kFloat64 ? 8 : noise_type == DType::kFloat32 ? 4 : 2;
  if (breaks("noise-overrun")) static_cast<unsigned char*>(y)[n * size] ^= 1;
}

torchdropout::RunNoise damaged_run_noises(DType type) {
  noise_type = type;
  return damaged_run_noise;
}

std::vector<const Kernels*> under_test;
Kernels damaged = {};

// Damages to a job or to its threads instead.
bool loses_pieces() { return breaks("lost-piece"); }

void run_job(const Kernels& kernels, Job job, ParallelFor parallel_for) {
  if (!job.dims.empty()) {
    Dim& dim = job.dims[job.dims.size() / 2];
    if (breaks("mask-stride")) dim.mask += 1;
    if (breaks("mask-stride-high")) dim.mask &= 0xFFFFFFFF;
    if (breaks("x-stride")) dim.stride[Dim::kX] = 0;
    if (breaks("residual-stride")) dim.stride[Dim::kResidual] = 0;
    if (breaks("bias-stride")) dim.stride[Dim::kBias] = 0;
    if (breaks("key-stride")) dim.key = 0;
    if (breaks("gap") && dim.size > 1 && dim.size % 7 == 0) {
      static_cast<unsigned char*>(job.at.y)[-1] ^= 1;
    }
  }
  if (breaks("base-high")) job.base &= 0xFFFFFFFF;
  torchdropout::run(kernels, job, parallel_for);
}

// --- ways to spread work over threads -----------------------------------------------------------

using Work = void (*)(void*, int64_t, int64_t);
uint64_t splits = 0;  // pieces handed out by the ways that split

void in_order(int64_t n, int64_t, Work work, void* context) { work(context, 0, n); }

std::vector<std::pair<int64_t, int64_t>> odd_pieces(int64_t n, int64_t grain) {
  std::vector<std::pair<int64_t, int64_t>> pieces;
  for (int64_t start = 0; start < n;) {
    const int64_t length = grain + static_cast<int64_t>(pieces.size()) * 7 % 5;
    const int64_t end = n - start - length < grain ? n : start + length;
    pieces.push_back({start, end});
    start = end;
  }
  if (loses_pieces() && pieces.size() > 1) pieces.pop_back();
  splits += pieces.size();
  return pieces;
}

void backwards(int64_t n, int64_t grain, Work work, void* context) {
  const auto pieces = odd_pieces(n, grain);
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    work(context, piece->first, piece->second);
  }
}

// Finer than is promised: an implementation must not rest on the pieces it gets.
void crumbs(int64_t n, int64_t, Work work, void* context) {
  for (int64_t start = 0, i = 0; start < n; ++i) {
    const int64_t end = std::min(n, start + 1 + i % 3);
    work(context, start, end);
    start = end;
    ++splits;
  }
}

template <int threads>
void in_threads(int64_t n, int64_t grain, Work work, void* context) {
  const auto pieces = odd_pieces(n, grain);
  std::atomic<size_t> next{0};
  const auto body = [&] {
    for (size_t i; (i = next++) < pieces.size();) {
      work(context, pieces[i].first, pieces[i].second);
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(body);
  body();
  for (auto& other : others) other.join();
}

constexpr ParallelFor kWays[] = {in_order,      backwards,     crumbs,
                                 in_threads<2>, in_threads<3>, in_threads<4>};

// --- memory between two pages that may not be touched -------------------------------------------

constexpr unsigned char kCanary = 0xA5;

class Arena {
 public:
  explicit Arena(size_t bytes) {
    page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_ = (bytes + page_ - 1) / page_ * page_;
    void* const all =
        mmap(nullptr, size_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) fail("no memory");
    begin_ = static_cast<unsigned char*>(all) + page_;
    if (mprotect(begin_, size_, PROT_READ | PROT_WRITE) != 0) fail("no memory");
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { munmap(begin_ - page_, size_ + 2 * page_); }

  unsigned char* begin() const { return begin_; }
  unsigned char* end() const { return begin_ + size_; }

  // Canaries on [at, at + bytes) and 64 bytes around, as far as they are there.
  void guard(unsigned char* at, int64_t bytes) const {
    unsigned char* const first = std::max(begin_, at - 64);
    std::memset(first, kCanary, static_cast<size_t>(std::min(end(), at + bytes + 64) - first));
  }
  bool untouched_around(const unsigned char* at, int64_t bytes) const {
    for (const unsigned char* p = std::max<const unsigned char*>(begin_, at - 64); p < at; ++p) {
      if (*p != kCanary) return false;
    }
    const unsigned char* const last = std::min<const unsigned char*>(end(), at + bytes + 64);
    for (const unsigned char* p = at + bytes; p < last; ++p) {
      if (*p != kCanary) return false;
    }
    return true;
  }

 private:
  size_t page_, size_;
  unsigned char* begin_;
};

// --- runs ---------------------------------------------------------------------------------------

// The combinations there are, from the comments of kernels.h and run.h: equal types, and a half
// with a float32 residual with its gradient.
bool expected_types(Op op, DType x, DType y) {
  if (x == y) return true;
  const auto half = [](DType t) { return size_of(t) == 2; };
  if (has_residual(op)) return half(x) && y == DType::kFloat32;
  return op != Op::kShift && x == DType::kFloat32 && half(y);
}

struct Combination {
  Op op;
  DType x, y;
  DType compute() const { return compute_type(x); }
};

std::vector<Combination> combinations() {
  std::vector<Combination> all;
  for (Op op : kOps) {
    for (DType x : kTypes) {
      for (DType y : kTypes) {
        if (expected_types(op, x, y)) all.push_back({op, x, y});
      }
    }
  }
  return all;
}

// A run and what has to come of it. What comes of its first n elements is the start of that.
struct Run {
  Combination of;
  Affine affine;
  IndexedMask mask;
  std::vector<unsigned char> x, residual, bias, sums, y, sums_after;
  std::vector<uint64_t> bits;

  Run(Rng& rng, Combination combination, int64_t n, uint64_t index, Values values)
      : of(combination), affine(random_affine(rng)) {
    Uniforms uniforms;
    mask = {random_key(rng), {}, index};
    uint64_t t = std::min(random_threshold(rng), (uint64_t{1} << 32) - 1);
    if (n > 0 && rng.chance(0.3)) {  // at the uniform of one of the elements, or just above it
      t = uniforms.at(mask.key, index + static_cast<uint64_t>(rng.below(n)));
      if (t < 0xFFFFFFFF) t += rng.next() & 1;
    }
    mask.threshold = threshold(t);
    const auto make = [&](DType type, std::vector<unsigned char>& bytes) {
      bytes.resize(static_cast<size_t>(n * size_of(type)));
      from_pool(rng, type, values, bytes.data(), n);
    };
    const DType compute = of.compute();
    make(of.x, x);
    make(of.y, residual);
    make(compute, bias);
    make(compute, sums);
    y.resize(residual.size());
    sums_after.resize(sums.size());
    bits.resize(static_cast<size_t>(n / 64 + 1));
    for (auto& word : bits) word = rng.next();
    const int x_size = size_of(of.x), y_size = size_of(of.y), c_size = size_of(compute);
    for (int64_t i = 0; i < n; ++i) {
      const bool keep = uniforms.at(mask.key, index + static_cast<uint64_t>(i)) >= t;
      const uint64_t bit = uint64_t{1} << i % 64;
      bits[i / 64] = keep ? bits[i / 64] | bit : bits[i / 64] & ~bit;
      const double value = result(of.op, compute, affine, keep, decode(of.x, &x[i * x_size]),
                                  decode(of.y, &residual[i * y_size]),
                                  decode(compute, &bias[i * c_size]));
      encode(of.y, value, &y[i * y_size]);
      encode(compute, decode(compute, &sums[i * c_size]) + value, &sums_after[i * c_size]);
    }
  }
};

struct Places {
  unsigned char *x, *y, *residual, *bias, *sums;
  uint64_t* bits;
};

struct Arenas {
  Arena x, y, residual, bias, sums, bits;
  explicit Arenas(size_t elements)
      : x(elements * 8), y(elements * 8), residual(elements * 8), bias(elements * 8),
        sums(elements * 8), bits(elements / 8) {}
};

void put(unsigned char* to, const std::vector<unsigned char>& from, int64_t bytes) {
  if (bytes > 0) std::memcpy(to, from.data(), static_cast<size_t>(bytes));
}

// Inputs other than x (which a run in place overwrites) are there already.
void check_run(const Kernels& kernels, const Run& run, const Arenas& arenas, Places at, int64_t n,
               bool by_bits, bool streaming, bool in_place) {
  const DType compute = run.of.compute();
  const int64_t y_bytes = n * size_of(run.of.y), c_bytes = n * size_of(compute);
  const bool sums = run.of.op == Op::kSum;
  arenas.y.guard(at.y, y_bytes);
  if (in_place) put(at.y, run.x, y_bytes);
  if (sums) {
    arenas.sums.guard(at.sums, c_bytes);
    put(at.sums, run.sums, c_bytes);
  }
  const bool bias = run.of.op == Op::kAddBias, residual = has_residual(run.of.op);
  const Operands operands = {in_place ? at.y : at.x, at.y, residual ? at.residual : nullptr,
                             bias ? at.bias : nullptr, sums ? at.sums : nullptr};
  const Runs runs = kernels.runs(run.of.op, run.of.x, run.of.y);
  if (by_bits) {
    runs.bits(run.affine, operands, n, at.bits, streaming);
  } else {
    runs.indexed(run.affine, operands, n, run.mask, streaming);
  }
  ++checks;
  const auto where = [&](const char* what, int64_t i) {
    fail("%s, %s %s -> %s, %s, %s, n=%lld, y %% 64 = %d, index=%llu, in place %d: %s, element %lld",
         kernels.name, name(run.of.op), name(run.of.x), name(run.of.y),
         by_bits ? "bits" : "indexed", streaming ? "streaming" : "cached",
         static_cast<long long>(n), static_cast<int>(reinterpret_cast<uintptr_t>(at.y) % 64),
         static_cast<unsigned long long>(run.mask.index), in_place, what,
         static_cast<long long>(i));
  };
  const int64_t different = first_difference(run.of.y, at.y, run.y.data(), n);
  if (different >= 0) where("y", different);
  if (!arenas.y.untouched_around(at.y, y_bytes)) where("written around y", -1);
  if (sums) {
    const int64_t sum = first_difference(compute, at.sums, run.sums_after.data(), n);
    if (sum >= 0) where("sums", sum);
    if (!arenas.sums.untouched_around(at.sums, c_bytes)) where("written around sums", -1);
  }
}

std::vector<int64_t> lengths(int64_t most) {
  std::vector<int64_t> all;
  for (int64_t n = 0; n <= most; ++n) {
    if (n % options.thin == 0 || n == most || n % 64 == 63) all.push_back(n);
  }
  return all;
}

void test_types() {
  for (const Kernels* kernels : under_test) {
    for (Op op : kOps) {
      for (DType x : kTypes) {
        for (DType y : kTypes) {
          const Runs runs = kernels->runs(op, x, y);
          const bool there = expected_types(op, x, y);
          ++checks;
          if ((runs.indexed != nullptr) != there || (runs.bits != nullptr) != there) {
            fail("%s, %s %s -> %s: there or not", kernels->name, name(op), name(x), name(y));
          }
        }
      }
    }
  }
}

void inputs_in_place(const Run& run, const Places& at, int64_t n) {
  put(at.x, run.x, n * size_of(run.of.x));
  if (has_residual(run.of.op)) put(at.residual, run.residual, n * size_of(run.of.y));
  if (run.of.op == Op::kAddBias) put(at.bias, run.bias, n * size_of(run.of.compute()));
  std::memcpy(at.bits, run.bits.data(), static_cast<size_t>((n + 63) / 64 * 8));
}

void test_runs() {
  constexpr int64_t kMost = 300, kLong = 10007;
  Rng rng = {1};
  const Arenas arenas(kLong + 64);
  const auto at_offset = [](const Arena& arena, int64_t elements, DType type) {
    return arena.begin() + 64 + elements * size_of(type);
  };
  for (const Combination& of : combinations()) {
    for (int64_t offset = 0; offset < 16; ++offset) {
      for (int long_one = 0; long_one < (offset % 8 == 0 ? 2 : 1); ++long_one) {
        // At a whole block of eight from the start: only those stream.
        uint64_t index = random_base(rng);
        if (offset == 0 || rng.chance(0.5)) index -= index % 8;
        const int64_t most = long_one ? kLong : kMost;
        const Run run(rng, of, most, index, Values::kAny);
        const Places at = {at_offset(arenas.x, offset * 5 % 16, of.x),
                           at_offset(arenas.y, offset, of.y),
                           at_offset(arenas.residual, offset * 3 % 16, of.y),
                           at_offset(arenas.bias, offset * 7 % 16, of.compute()),
                           at_offset(arenas.sums, offset * 9 % 16, of.compute()),
                           reinterpret_cast<uint64_t*>(arenas.bits.begin())};
        inputs_in_place(run, at, most);
        const auto all = long_one ? std::vector<int64_t>{kLong, 4096, 9999} : lengths(kMost);
        for (const Kernels* kernels : under_test) {
          for (int form = 0; form < 4; ++form) {
            for (int64_t n : all) {
              check_run(*kernels, run, arenas, at, n, form / 2 == 1, form % 2 == 1, false);
              if (of.x == of.y && (n % 5 == 0 || n > kMost)) {
                check_run(*kernels, run, arenas, at, n, form / 2 == 1, form % 2 == 1, true);
              }
            }
          }
        }
      }
    }
  }
}

// Operands that end right before a page that may not be touched, then such that start right after.
void test_guard_pages() {
  constexpr int64_t kMost = 200;
  Rng rng = {2};
  const Arenas arenas(4096);
  for (const Combination& of : combinations()) {
    for (int64_t n : lengths(kMost)) {
      const Run run(rng, of, n, random_base(rng), Values::kAny);
      for (int at_end = 0; at_end < 2; ++at_end) {
        const auto place = [&](const Arena& arena, int64_t bytes) {
          return at_end ? arena.end() - bytes : arena.begin();
        };
        const int64_t c_bytes = n * size_of(of.compute()), y_bytes = n * size_of(of.y);
        const Places at = {
            place(arenas.x, n * size_of(of.x)), place(arenas.y, y_bytes),
            place(arenas.residual, y_bytes),    place(arenas.bias, c_bytes),
            place(arenas.sums, c_bytes),
            reinterpret_cast<uint64_t*>(place(arenas.bits, (n + 63) / 64 * 8))};
        inputs_in_place(run, at, n);
        for (const Kernels* kernels : under_test) {
          for (int form = 0; form < 4; ++form) {
            check_run(*kernels, run, arenas, at, n, form / 2 == 1, form % 2 == 1, false);
          }
        }
      }
    }
  }
  for (int64_t n : lengths(1000)) {
    const int64_t words = (n + 63) / 64;
    auto* const bits = reinterpret_cast<uint64_t*>(arenas.bits.end()) - words;
    for (const Kernels* kernels : under_test) {
      kernels->keep_bits({random_key(rng), threshold(1u << 31), random_base(rng)}, n, bits);
      ++checks;
    }
  }
}

// --- keep bits ----------------------------------------------------------------------------------

void check_keep_bits(const Kernels& kernels, const Key& key, uint64_t t, uint64_t index, int64_t n,
                     const uint32_t* uniforms) {
  static std::vector<uint64_t> bits;
  const auto words = static_cast<size_t>((n + 63) / 64);
  bits.assign(words + 1, 0x5555555555555555);
  kernels.keep_bits({key, threshold(t), index}, n, bits.data());
  ++checks;
  for (int64_t i = 0; i < n; ++i) {
    if ((bits[i / 64] >> i % 64 & 1) != (uniforms[i] >= t)) {
      fail("%s, seed=%llu stream=%llu index=%llu T=%llu n=%lld: bit %lld", kernels.name,
           static_cast<unsigned long long>(key.seed), static_cast<unsigned long long>(key.stream),
           static_cast<unsigned long long>(index), static_cast<unsigned long long>(t),
           static_cast<long long>(n), static_cast<long long>(i));
    }
  }
  if (bits[words] != 0x5555555555555555) fail("%s: a word too many written", kernels.name);
}

void test_keep_bits() {
  constexpr int64_t kMost = 300, kLong = 9000;
  Rng rng = {3};
  const uint64_t fixed[] = {0,       1,         (1u << 16) - 1, 1u << 16, (1u << 16) + 1,
                            429496730, 1u << 31, 3865470566,     0xFFFFFFFF};
  for (uint64_t base : kBases) {
    for (uint64_t start = 0; start < 64; ++start) {
      const Key key = random_key(rng);
      const uint64_t index = base + start;
      const int64_t reach = start % 16 == 5 ? kLong : kMost;
      std::vector<uint32_t> uniforms(static_cast<size_t>(reach));
      Uniforms of;
      for (int64_t i = 0; i < reach; ++i) {
        uniforms[i] = of.at(key, index + static_cast<uint64_t>(i));
      }
      std::vector<uint64_t> thresholds(std::begin(fixed), std::end(fixed));
      for (int64_t i : {int64_t{0}, rng.below(64), rng.between(64, 290), kMost - 1}) {
        thresholds.push_back(uniforms[i]);  // kept: at the threshold is not below it
        thresholds.push_back(std::min(uint64_t{uniforms[i]} + 1, uint64_t{0xFFFFFFFF}));
        thresholds.push_back(uniforms[i] & 0xFFFF0000);
      }
      for (const Kernels* kernels : under_test) {
        for (uint64_t t : thresholds) {
          check_keep_bits(*kernels, key, t, index, kMost, uniforms.data());
        }
        const uint64_t u = uniforms[7];
        const uint64_t t = start % 2 ? u + (u < 0xFFFFFFFF) : 1u << 31;
        for (int64_t n : lengths(kMost)) {
          check_keep_bits(*kernels, key, t, index, n, uniforms.data());
        }
        for (int64_t n : {int64_t{4095}, int64_t{4096}, int64_t{4097}, int64_t{4160}, kLong}) {
          if (n <= reach) check_keep_bits(*kernels, key, t, index, n, uniforms.data());
        }
      }
    }
  }
}

// --- rounding -----------------------------------------------------------------------------------

// One run over given x: y is `scale * x`, or with a residual of -0 it is x itself as another type.
void check_values(const Kernels& kernels, Combination of, const Affine& affine,
                  const std::vector<unsigned char>& x) {
  const auto n = static_cast<int64_t>(x.size()) / size_of(of.x);
  const int item = size_of(of.y);
  std::vector<unsigned char> y(static_cast<size_t>(n * item)), zeros(y.size());
  for (int64_t i = 0; i < n; ++i) encode(of.y, -0.0, &zeros[i * item]);
  const std::vector<uint64_t> bits(static_cast<size_t>(n / 64 + 1), ~uint64_t{0});
  const Operands at = {x.data(), y.data(), zeros.data(), nullptr, nullptr};
  kernels.runs(of.op, of.x, of.y).bits(affine, at, n, bits.data(), false);
  ++checks;
  unsigned char expected[8];
  for (int64_t i = 0; i < n; ++i) {
    const double value = decode(of.x, &x[i * size_of(of.x)]);
    encode(of.y, result(of.op, of.compute(), affine, true, value, -0.0, 0), expected);
    if (!same_element(of.y, expected, &y[i * item])) {
      fail("%s, %s %s -> %s: %a * %a gives %a, expected %a", kernels.name, name(of.op), name(of.x),
           name(of.y), value, affine.scale, decode(of.y, &y[i * item]), decode(of.y, expected));
    }
  }
}

void append(std::vector<unsigned char>& bytes, float value) {
  unsigned char raw[4];
  std::memcpy(raw, &value, 4);
  bytes.insert(bytes.end(), raw, raw + 4);
}

void test_rounding() {
  const double scales[] = {1,       2,      0.5,    1 / 0.9, 1 / 0.3, 1.0000001, 0x1p-9, 0x1.01p-1,
                           1e-38, 0x1p-20, 12345, 1e30,    -1.5};
  std::vector<unsigned char> all(2 * 65536);
  for (uint32_t i = 0; i < 65536; ++i) std::memcpy(&all[2 * i], &i, 2);
  for (DType half : {DType::kFloat16, DType::kBFloat16}) {
    // Floats that lie between two neighbours of the 16-bit type, and right next to the middle.
    std::vector<unsigned char> middles, widely;
    for (uint32_t i = 0; i + 1 < 65536; ++i) {
      const double low = decoded16(half)[i], high = decoded16(half)[i + 1];
      if (std::isnan(low) || std::isnan(high) || std::isinf(low)) continue;
      // Where the next is infinite: where it would be, had the exponent a value more.
      const double next = std::isinf(high) ? 2 * low - decoded16(half)[i - 1] : high;
      const auto middle = static_cast<float>(low / 2 + next / 2);
      append(middles, middle);
      append(middles, std::nextafter(middle, -INFINITY));
      append(middles, std::nextafter(middle, INFINITY));
      append(middles, static_cast<float>(low));
    }
    Rng rng = {4};
    for (int i = 0; i < (options.thin > 1 ? 10000 : 1000000); ++i) {
      const auto pattern = static_cast<uint32_t>(rng.next());
      float value;
      std::memcpy(&value, &pattern, 4);
      append(widely, value);
    }
    for (const Kernels* kernels : under_test) {
      for (double scale : scales) {
        check_values(*kernels, {Op::kScale, half, half}, {scale, 0, 0}, all);
      }
      check_values(*kernels, {Op::kShift, half, half}, {1 / 0.9, 0.1, 0}, all);
      check_values(*kernels, {Op::kAdd, half, half}, {1, 0, 0}, all);
      check_values(*kernels, {Op::kAdd, half, DType::kFloat32}, {1, 0, 0}, all);
      check_values(*kernels, {Op::kScale, DType::kFloat32, half}, {1, 0, 0}, middles);
      check_values(*kernels, {Op::kScale, DType::kFloat32, half}, {1, 0, 0}, widely);
    }
  }
}

// NaNs with a payload where the affine function has its constants: NaN has to come out, whatever a
// rounding of the payload would carry into.
void test_nan_constants() {
  Rng rng = {5};
  const uint64_t patterns[] = {0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0x7FF8000000000000,
                               0x7FF800001FFFFFFF, 0x7FFFFFFFE0000000};
  const Arenas arenas(512);
  for (uint64_t pattern : patterns) {
    double nan;
    std::memcpy(&nan, &pattern, 8);
    for (const Combination& of : combinations()) {
      for (int place = 0; place < 3; ++place) {
        Run run(rng, of, 130, 0, Values::kOrdinary);
        Affine affine = {1.5, 0.25, 0.5};
        (place == 0 ? affine.scale : place == 1 ? affine.shift : affine.drop_value) = nan;
        run.affine = affine;
        for (int64_t i = 0; i < 130; ++i) {
          const int c_size = size_of(of.compute());
          const double value = result(
              of.op, of.compute(), affine, run.bits[i / 64] >> i % 64 & 1,
              decode(of.x, &run.x[i * size_of(of.x)]),
              decode(of.y, &run.residual[i * size_of(of.y)]),
              decode(of.compute(), &run.bias[i * c_size]));
          encode(of.y, value, &run.y[i * size_of(of.y)]);
          encode(of.compute(), decode(of.compute(), &run.sums[i * c_size]) + value,
                 &run.sums_after[i * c_size]);
        }
        const Places at = {arenas.x.begin(),    arenas.y.begin(),    arenas.residual.begin(),
                           arenas.bias.begin(), arenas.sums.begin(),
                           reinterpret_cast<uint64_t*>(arenas.bits.begin())};
        inputs_in_place(run, at, 130);
        for (const Kernels* kernels : under_test) {
          for (int64_t n : {5, 130}) check_run(*kernels, run, arenas, at, n, false, false, false);
        }
      }
    }
  }
}

// --- jobs ---------------------------------------------------------------------------------------

struct Layout {
  std::vector<int64_t> stride;
  int64_t bytes = 0;  // from the first byte to the last
};

std::vector<int> identity(size_t n) {
  std::vector<int> order(n);
  for (size_t i = 0; i < n; ++i) order[i] = static_cast<int>(i);
  return order;
}

std::vector<int> shuffled(Rng& rng, size_t n) {
  std::vector<int> order = identity(n);
  for (size_t i = n; i > 1; --i) std::swap(order[i - 1], order[rng.below(static_cast<int64_t>(i))]);
  return order;
}

Layout random_layout(Rng& rng, const std::vector<int64_t>& sizes, const std::vector<int>& order,
                     int64_t item, double gaps, double expanded) {
  Layout layout;
  layout.stride.resize(sizes.size());
  layout.bytes = item;
  int64_t step = item;
  for (auto d = order.rbegin(); d != order.rend(); ++d) {
    const int64_t size = std::max<int64_t>(1, sizes[*d]);
    if (rng.chance(expanded)) {
      layout.stride[*d] = 0;
      continue;
    }
    if (rng.chance(gaps)) step += item * rng.between(1, 3);
    layout.stride[*d] = size == 1 && rng.chance(0.3) ? item * rng.below(99) : step;
    layout.bytes += (size - 1) * step;
    step *= size;
  }
  return layout;
}

std::vector<int64_t> random_sizes(Rng& rng, bool large) {
  const auto dims = static_cast<size_t>(large ? rng.between(1, 4) : rng.below(6));
  std::vector<int64_t> sizes(dims, 1);
  int64_t all = 1;
  const int64_t most = large ? 90000 : 3000;
  for (int d : shuffled(rng, dims)) {
    int64_t size = 1;
    switch (rng.below(8)) {
      case 0: size = rng.chance(0.1) && !large ? 0 : 1; break;
      case 1: size = rng.between(60, 70); break;
      case 2: size = rng.between(100, 700); break;
      case 3: size = rng.between(8, 33); break;
      default: size = rng.between(2, 7); break;
    }
    size = std::min(size, most / all);
    sizes[d] = size;
    all *= std::max<int64_t>(1, size);
  }
  if (large) {  // enough to be worth several threads
    int64_t& size = sizes[rng.below(static_cast<int64_t>(dims))];
    while (all < 40000) {
      all += all / size * 5;
      size += 5;
    }
    if (all > 150000) return random_sizes(rng, large);
  }
  return sizes;
}

std::vector<uint64_t> row_major(const std::vector<int64_t>& sizes, const std::vector<int>& order,
                                const std::vector<bool>& shared) {
  std::vector<uint64_t> strides(sizes.size(), 0);
  uint64_t step = 1;
  for (auto d = order.rbegin(); d != order.rend(); ++d) {
    if (shared[*d]) continue;
    strides[*d] = step;
    step *= static_cast<uint64_t>(std::max<int64_t>(1, sizes[*d]));
  }
  return strides;
}

std::vector<uint64_t> random_mask(Rng& rng, const std::vector<int64_t>& sizes) {
  const size_t dims = sizes.size();
  std::vector<bool> shared(dims, false);
  if (rng.chance(0.5)) {
    for (size_t d = 0; d < dims; ++d) shared[d] = rng.chance(0.4);
  }
  switch (rng.below(6)) {
    case 0: return row_major(sizes, shuffled(rng, dims), shared);
    case 1: {  // a part of something larger
      std::vector<int64_t> whole = sizes;
      for (auto& size : whole) size += rng.below(3);
      return row_major(whole, identity(dims), shared);
    }
    case 2: {
      std::vector<uint64_t> strides(dims);
      for (auto& stride : strides) {
        const uint64_t some[] = {0, 1, 1, 2, 7, 8, 64, uint64_t{1} << 32, kBlockCarry,
                                 uint64_t(0) - 1, rng.next(), rng.next() >> 40};
        stride = rng.of(some);
      }
      return strides;
    }
    default: return row_major(sizes, identity(dims), shared);
  }
}

// Goes through all coordinates, the last dimension fastest.
template <class Visit>
void each_coordinate(const std::vector<int64_t>& sizes, const Visit& visit) {
  std::vector<int64_t> at(sizes.size(), 0);
  for (int64_t size : sizes) {
    if (size == 0) return;
  }
  while (true) {
    visit(at);
    size_t d = sizes.size();
    while (d > 0 && ++at[d - 1] == sizes[d - 1]) at[--d] = 0;
    if (d == 0) return;
  }
}

// Draws that are shared along one dimension of a tensor without gaps.
struct Sharing {
  std::vector<int64_t> sizes;
  std::vector<bool> along;

  Sharing(Rng& rng, bool large) {
    switch (rng.below(3)) {
      case 0:  // channels: many stretches
        sizes = {rng.between(1, 3), large ? rng.between(700, 3000) : rng.between(2, 70),
                 rng.between(2, 70)};
        along = {false, false, true};
        break;
      case 1:  // a few long ones; from 16385 elements on they are not drawn together
        sizes = {rng.between(1, 3), rng.between(2, 4),
                 large ? rng.between(14000, 20000) : rng.between(300, 900)};
        along = {false, false, true};
        break;
      default: {  // rows, and channels_last
        const bool wide = large || rng.chance(0.3);
        sizes = {rng.between(1, 3), rng.between(2, wide ? 12 : 70),
                 large ? rng.between(500, 9000) : wide ? rng.between(400, 1100) : rng.between(1, 90)};
        along = {false, true, false};
      }
    }
  }
};

struct Expected {
  int64_t offset;
  uint64_t bits;
};

// A job with its memory, and the elements that have to come of it.
class RandomJob {
 public:
  RandomJob(Rng& rng, bool large) {
    const auto all = combinations();
    do {
      of_ = all[rng.below(static_cast<int64_t>(all.size()))];
    } while (of_.op == Op::kSum);
    sizes_ = random_sizes(rng, large);
    const bool channels = rng.chance(large ? 0.4 : 0.15);
    const Sharing sharing(rng, large);
    if (channels) sizes_ = sharing.sizes;
    const size_t dims = sizes_.size();
    const bool as_they_are = channels || rng.chance(0.6);
    const std::vector<int> order = as_they_are ? identity(dims) : shuffled(rng, dims);
    const double gaps = !channels && rng.chance(0.3) ? 0.4 : 0;
    layouts_[Dim::kY] = random_layout(rng, sizes_, order, item(Dim::kY), gaps, 0);
    in_place_ = of_.x == of_.y && rng.chance(0.15);
    for (int i : {Dim::kX, Dim::kResidual, Dim::kBias}) {
      if (channels && !in_place_) {
        layouts_[i] = random_layout(rng, sizes_, order, item(i), 0, 0);
      } else if (i == Dim::kX ? in_place_ : rng.chance(0.5) && item(i) == item(Dim::kY)) {
        layouts_[i] = layouts_[Dim::kY];
      } else {
        const bool own = rng.chance(0.25);
        const double expanded = i == Dim::kBias ? 0.5 : rng.chance(0.15) ? 0.5 : 0;
        layouts_[i] = random_layout(rng, sizes_, own ? shuffled(rng, dims) : order, item(i),
                                    rng.chance(0.15) ? 0.4 : 0, expanded);
      }
    }
    std::vector<uint64_t> mask =
        channels ? row_major(sizes_, order, sharing.along) : random_mask(rng, sizes_);
    std::vector<int64_t> key(dims, 0);
    int64_t keys = 1;
    if (dims > 0 && rng.chance(0.3)) {
      const bool anywhere = rng.chance(0.2);
      for (int64_t d = rng.below(std::min<int64_t>(2, static_cast<int64_t>(dims))); d >= 0; --d) {
        const auto at = anywhere ? static_cast<size_t>(rng.below(static_cast<int64_t>(dims)))
                                 : static_cast<size_t>(d);
        if (key[at] != 0) continue;
        key[at] = keys;
        keys *= std::max<int64_t>(1, sizes_[at]);
        if (!anywhere) mask[at] = 0;
      }
    }
    for (int64_t i = 0; i < keys; ++i) keys_.push_back(random_key(rng));
    base_ = random_base(rng);
    affine_ = random_affine(rng);
    threshold_ = random_threshold(rng);
    Uniforms uniforms;
    if (rng.chance(0.2)) {  // at the uniform of some element
      uint64_t index = base_;
      int64_t k = 0;
      for (size_t d = 0; d < dims; ++d) {
        const int64_t at = rng.below(std::max<int64_t>(1, sizes_[d]));
        index += mask[d] * static_cast<uint64_t>(at);
        k += key[d] * at;
      }
      threshold_ = uint64_t{uniforms.at(keys_[k], index)} + (rng.next() & 1);
    }
    const Values values = rng.chance(0.8) ? Values::kAny : Values::kOrdinary;
    for (int i = 0; i < Dim::kOperands; ++i) {
      const int64_t n = layouts_[i].bytes / item(i);
      start_[i] = 64 + (rng.chance(0.5) ? 0 : rng.below(16)) * item(i);
      memory_[i].assign(static_cast<size_t>(start_[i] + layouts_[i].bytes + 64 + 64), kCanary);
      if (i != Dim::kY) from_pool(rng, type(i), values, first(i), n);
      if (i == Dim::kY && in_place_) from_pool(rng, of_.x, values, first(i), n);
    }
    before_ = memory_[Dim::kY];
    for (size_t d = 0; d < dims; ++d) {
      dims_.push_back({sizes_[d], {}, mask[d], key[d]});
      for (int i = 0; i < Dim::kOperands; ++i) dims_[d].stride[i] = layouts_[i].stride[d];
    }
    expect(uniforms);
  }

  void check(const Kernels& kernels, ParallelFor parallel_for, uint64_t number, int way) {
    std::copy(before_.begin(), before_.end(), memory_[Dim::kY].begin());
    const bool residual = has_residual(of_.op), bias = of_.op == Op::kAddBias;
    Job job = {of_.op,
               of_.x,
               of_.y,
               affine_,
               {first(in_place_ ? Dim::kY : Dim::kX), first(Dim::kY),
                residual ? first(Dim::kResidual) : nullptr, bias ? first(Dim::kBias) : nullptr,
                nullptr},
               dims_,
               keys_.data(),
               threshold(threshold_),
               base_};
    run_job(kernels, job, parallel_for);
    ++checks;
    const int size = size_of(of_.y);
    unsigned char* const y = first(Dim::kY);
    const unsigned char* const before = before_.data() + (y - memory_[Dim::kY].data());
    for (size_t i = 0; i < expected_.size(); ++i) {
      const auto* const value = reinterpret_cast<const unsigned char*>(&expected_[i].bits);
      unsigned char* const at = y + expected_[i].offset;
      if (std::memcmp(at, value, static_cast<size_t>(size)) != 0 &&
          !same_element(of_.y, at, value)) {
        describe();
        fail("%s, job %llu, way %d: element %zu is %a, expected %a", kernels.name,
             static_cast<unsigned long long>(number), way, i, decode(of_.y, at),
             decode(of_.y, value));
      }
      std::memcpy(at, before + expected_[i].offset, static_cast<size_t>(size));
    }
    if (memory_[Dim::kY] != before_) {
      describe();
      fail("%s, job %llu, way %d: written outside of y", kernels.name,
           static_cast<unsigned long long>(number), way);
    }
  }

 private:
  DType type(int operand) const {
    return operand == Dim::kX ? of_.x : operand == Dim::kBias ? of_.compute() : of_.y;
  }
  int64_t item(int operand) const { return size_of(type(operand)); }
  // The memory starts anywhere; the first element at a multiple of 64 bytes and some elements.
  unsigned char* first(int operand) {
    const auto at = reinterpret_cast<uintptr_t>(memory_[operand].data());
    return memory_[operand].data() + (64 - at % 64) % 64 + start_[operand];
  }

  void expect(Uniforms& uniforms) {
    each_coordinate(sizes_, [&](const std::vector<int64_t>& at) {
      int64_t offset[Dim::kOperands] = {}, key = 0;
      uint64_t index = base_;
      for (size_t d = 0; d < at.size(); ++d) {
        for (int i = 0; i < Dim::kOperands; ++i) offset[i] += at[d] * dims_[d].stride[i];
        index += dims_[d].mask * static_cast<uint64_t>(at[d]);
        key += dims_[d].key * at[d];
      }
      const bool keep = uniforms.at(keys_[key], index) >= threshold_;
      const unsigned char* const x = first(in_place_ ? Dim::kY : Dim::kX);
      const double value =
          result(of_.op, of_.compute(), affine_, keep, decode(of_.x, x + offset[Dim::kX]),
                 decode(of_.y, first(Dim::kResidual) + offset[Dim::kResidual]),
                 decode(of_.compute(), first(Dim::kBias) + offset[Dim::kBias]));
      Expected element = {offset[Dim::kY], 0};
      encode(of_.y, value, reinterpret_cast<unsigned char*>(&element.bits));
      expected_.push_back(element);
    });
  }

  void describe() const {
    std::printf("%s %s -> %s, base %llu, T %llu, in place %d\n", name(of_.op), name(of_.x),
                name(of_.y), static_cast<unsigned long long>(base_),
                static_cast<unsigned long long>(threshold_), in_place_);
    for (const Dim& d : dims_) {
      std::printf("  size %lld: x %lld y %lld residual %lld bias %lld mask %llu key %lld\n",
                  static_cast<long long>(d.size), static_cast<long long>(d.stride[0]),
                  static_cast<long long>(d.stride[1]), static_cast<long long>(d.stride[2]),
                  static_cast<long long>(d.stride[3]), static_cast<unsigned long long>(d.mask),
                  static_cast<long long>(d.key));
    }
  }

  Combination of_ = {};
  bool in_place_ = false;
  std::vector<int64_t> sizes_;
  Layout layouts_[Dim::kOperands];
  std::vector<Dim> dims_;
  std::vector<Key> keys_;
  uint64_t base_ = 0, threshold_ = 0;
  Affine affine_ = {};
  std::vector<unsigned char> memory_[Dim::kOperands], before_;
  int64_t start_[Dim::kOperands] = {};
  std::vector<Expected> expected_;
};

void test_jobs() {
  const uint64_t jobs = options.cases / under_test.size();
  for (uint64_t number = 0; number < jobs; ++number) {
    Rng rng = {number << 8 | 6};
    const bool large = number % 200 == 7;
    RandomJob job(rng, large);
    const int ways = sizeof kWays / sizeof kWays[0];
    const auto chosen = static_cast<int>(number % ways);
    for (const Kernels* kernels : under_test) {
      for (int way = 0; way < ways; ++way) {
        if (large || way == chosen) job.check(*kernels, kWays[way], number, way);
      }
    }
  }
}

// Large enough to be written past the caches, in three ways through the mask.
void test_streaming_jobs() {
  if (options.thin >= 16) return;
  constexpr int64_t kElements = 17 << 20;
  constexpr auto kType = DType::kBFloat16;
  Rng rng = {7};
  std::vector<unsigned char> x(kElements * 2), expected(kElements * 2);
  from_pool(rng, kType, Values::kOrdinary, x.data(), kElements);
  const Arena y(kElements * 2);
  const Key key = random_key(rng);
  const std::vector<std::vector<Dim>> shapes = {
      {{kElements, {2, 2}, 1, 0}},
      {{kElements / 4096, {8192, 8192}, 1, 0}, {4096, {2, 2}, 0, 0}},
      {{kElements / 16, {32, 32}, 1, 0}, {16, {2, 2}, 0, 0}}};
  for (const auto& dims : shapes) {
    Uniforms uniforms;
    unsigned char values[2][2];
    for (int64_t i = 0; i < kElements; ++i) {
      const int64_t inner = dims.size() == 1 ? 1 : dims[1].size;
      const bool keep =
          uniforms.at(key, kBlockCarry - 1000 + static_cast<uint64_t>(i / inner)) >= 1u << 30;
      encode(kType, keep ? decode(kType, &x[2 * i]) * 1.25 : 0.0, values[0]);
      std::memcpy(&expected[2 * i], values[0], 2);
    }
    for (const Kernels* kernels : under_test) {
      for (int mapped = 0; mapped < 2; ++mapped) {
        madvise(y.begin(), kElements * 2, MADV_DONTNEED);
        if (mapped) std::memset(y.begin(), kCanary, kElements * 2);
        const Operands at = {x.data(), y.begin(), nullptr, nullptr, nullptr};
        const Job job = {Op::kScale, kType, kType, {1.25, 0, 0},       at,
                         dims,       &key,  threshold(1u << 30), kBlockCarry - 1000};
        run_job(*kernels, job, mapped ? in_threads<2> : in_order);
        ++checks;
        if (first_difference(kType, y.begin(), expected.data(), kElements) >= 0) {
          fail("%s, %zu dims, mapped %d", kernels->name, dims.size(), mapped);
        }
      }
    }
  }
}

// --- sums ---------------------------------------------------------------------------------------

// A sum of doubles with what the additions rounded away (Knuth's two-sum): as good as exact.
struct Sum {
  double value = 0, rest = 0, size = 0;

  void add(double x) {
    const double next = value + x, part = next - value;
    if (std::isfinite(next)) rest += (value - (next - part)) + (x - part);
    value = next;
    size += std::fabs(x);
  }
  double off(double other) const { return std::fabs((other - value) - rest); }
};

void check_sums(Rng& rng, uint64_t number) {
  static std::vector<Combination> all;
  if (all.empty()) {
    for (const auto& of : combinations()) {
      if (of.op == Op::kSum) all.push_back(of);
    }
  }
  const Combination of = all[rng.below(static_cast<int64_t>(all.size()))];
  const DType compute = of.compute();
  const int x_size = size_of(of.x), y_size = size_of(of.y), c_size = size_of(compute);
  const int64_t columns = rng.chance(0.05) ? 0 : rng.between(1, rng.chance(0.5) ? 20 : 200);
  const int64_t most = std::max<int64_t>(1, 6000 / std::max<int64_t>(1, columns));
  const int64_t rows = rng.chance(0.05)  ? 0
                       : rng.chance(0.2) ? rng.between(250, 1100)
                                         : rng.between(1, most);
  const int64_t n = rows * columns;
  const bool finite = rng.chance(0.8);
  SumsJob job = {};
  job.x_type = of.x;
  job.y_type = of.y;
  job.scale = 1 / (1 - 0.8 * rng.real());
  job.rows = rows;
  job.columns = columns;
  const uint64_t t = random_threshold(rng);
  job.mask = {random_key(rng), threshold(t), random_base(rng)};
  std::vector<unsigned char> x(static_cast<size_t>((n + 16) * x_size));
  std::vector<unsigned char> expected(static_cast<size_t>(n * y_size));
  unsigned char* const x_at = x.data() + rng.below(16) * x_size;
  from_pool(rng, of.x, Values::kOrdinary, x_at, n);
  const double infinities[] = {INFINITY, -INFINITY, NAN};
  for (int64_t i = 0; !finite && n > 0 && i < 3; ++i) {
    encode(of.x, rng.of(infinities), x_at + rng.below(n) * x_size);
  }
  std::vector<Sum> exact(static_cast<size_t>(columns));
  Uniforms uniforms;
  for (int64_t i = 0; i < n; ++i) {
    const bool keep = uniforms.at(job.mask.key, job.mask.index + static_cast<uint64_t>(i)) >= t;
    const double value =
        result(Op::kSum, compute, {job.scale, 0, 0}, keep, decode(of.x, x_at + i * x_size), 0, 0);
    encode(of.y, value, &expected[i * y_size]);
    exact[i % columns].add(value);
  }
  const Arena y(static_cast<size_t>(n * y_size + 256));
  const Arena sums(static_cast<size_t>(columns * c_size + 256));
  unsigned char* const y_at = y.begin() + rng.below(16) * y_size;
  unsigned char* const sums_at = sums.begin() + rng.below(16) * c_size;
  std::vector<unsigned char> first;
  for (const Kernels* kernels : under_test) {
    for (ParallelFor way : kWays) {
      const bool threads = way != in_order && way != backwards && way != crumbs;
      if (threads && number % 8 != 0) continue;  // to start one costs more than to sum
      y.guard(y_at, n * y_size);
      sums.guard(sums_at, columns * c_size);
      job.x = x_at;
      job.y = y_at;
      job.sums = sums_at;
      torchdropout::run(*kernels, job, way);
      ++checks;
      const auto where = [&](const char* what, int64_t i) {
        fail("%s, job %llu, %s -> %s, %lld rows, %lld columns, T %llu: %s, %lld", kernels->name,
             static_cast<unsigned long long>(number), name(of.x), name(of.y),
             static_cast<long long>(rows), static_cast<long long>(columns),
             static_cast<unsigned long long>(t), what, static_cast<long long>(i));
      };
      const int64_t different = first_difference(of.y, y_at, expected.data(), n);
      if (different >= 0) where("y", different);
      if (!y.untouched_around(y_at, n * y_size)) where("written around y", -1);
      if (!sums.untouched_around(sums_at, columns * c_size)) where("written around sums", -1);
      // 256 rows are added in the compute type, so each value goes through that many roundings.
      const double unit = compute == DType::kFloat64 ? 0x1p-53 : 0x1p-24;
      const double roundings = unit * static_cast<double>(std::min<int64_t>(rows, 256) + 2) +
                               0x1p-53 * static_cast<double>(rows / 256 + 1);
      for (int64_t i = 0; i < columns; ++i) {
        const double got = decode(compute, sums_at + i * c_size), sum = exact[i].value;
        if (std::isfinite(sum) ? !(exact[i].off(got) <= roundings * exact[i].size)
                               : !(got == sum || (std::isnan(got) && std::isnan(sum)))) {
          where("sum", i);
        }
      }
      const std::vector<unsigned char> these(sums_at, sums_at + columns * c_size);
      if (first.empty()) first = these;
      if (first_difference(compute, these.data(), first.data(), columns) >= 0) {
        where("not the sums of the others", -1);
      }
    }
  }
}

// So many equal values that adding them one after the other, or block after block, in float32
// would drift beyond what the blocks of 256 rows may be off.
void check_long_sums() {
  constexpr int64_t kRows = 1 << 20;
  std::vector<float> x(kRows, 1.1f), y(kRows);
  for (const Kernels* kernels : under_test) {
    float sum = 0;
    const SumsJob job = {DType::kFloat32, DType::kFloat32, 1.0, x.data(), y.data(), &sum, kRows, 1,
                         {{0, 0}, {0, 0}, 0}};
    torchdropout::run(*kernels, job, in_order);
    ++checks;
    const double exact = static_cast<double>(1.1f) * kRows;
    if (!(std::fabs(sum - exact) <= exact * 128 * 0x1p-24)) fail("%s: %a", kernels->name, sum);
  }
}

void test_sums() {
  if (options.thin < 16) check_long_sums();  // which no instruction set has a part in
  const uint64_t jobs = options.cases / 10 / under_test.size();
  for (uint64_t number = 0; number < jobs; ++number) {
    Rng rng = {number << 8 | 8};
    check_sums(rng, number);
  }
}

// --- the rest -----------------------------------------------------------------------------------

// --- noise --------------------------------------------------------------------------------------

// Section 7 of docs/contract.md once more; the flags allow no fused operation.
uint32_t word_of_noise(const Key& key, uint32_t domain, uint64_t index) {
  const uint64_t block = index / 4;
  const uint32_t counter[4] = {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                               static_cast<uint32_t>(key.stream),
                               static_cast<uint32_t>(key.stream >> 32) | domain << 28};
  const uint32_t k[2] = {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)};
  uint32_t out[4];
  philox(counter, k, out);
  return out[index % 4];
}

// A number of float: what an operation on two doubles that hold floats gives, rounded to float.
struct Single {
  double value;
  Single(double exact) : value(static_cast<double>(static_cast<float>(exact))) {}
};
Single operator+(Single a, Single b) { return a.value + b.value; }
Single operator-(Single a, Single b) { return a.value - b.value; }
Single operator*(Single a, Single b) { return a.value * b.value; }
Single operator/(Single a, Single b) { return a.value / b.value; }

Single horner(const std::vector<double>& c, Single x) {
  Single value = c.back();
  for (size_t i = c.size() - 1; i-- > 0;) value = value * x + Single(c[i]);
  return value;
}

Single logarithm(Single x) {
  int k;
  double m = std::frexp(x.value, &k);
  if (m < Single(std::sqrt(0.5)).value) m *= 2, --k;
  const Single f = Single(m) - Single(1), s = f / (f + Single(2));
  const Single rest = Single(k) * Single(1.4286068e-06) +
                      s * horner({2.0, 0.6666682, 0.39973605, 0.29961267}, s * s);
  return Single(k) * Single(0x162E4p-17) + rest;
}

float noise_of(Law law, uint32_t word) {
  const double middle = 0x80000000;
  if (law == Law::kUniform) return static_cast<float>((2.0 * (word >> 8) + 1 - 0x1p24) / 0x1p24);
  const bool upper = word >= 0x80000000;
  const double offset = upper ? word - middle : middle - 1 - word;
  const Single v = (Single(middle - 1 - offset) + Single(0.5)) * Single(0x1p-32);
  Single value = 0;
  if (law == Law::kLogistic) {
    value = logarithm((Single(1) - v) / v);
  } else if (offset < 0x74800000) {
    const Single x = (Single(offset) + Single(0.5)) * Single(0x1p-31);
    const Single r = Single(0.828125) - x * x;
    value = x * horner({1.8631256, 10.475709, 11.887786, 1.474207}, r) /
            horner({1.0, 6.728465, 10.625334, 3.0327263}, r);
  } else {
    const Single w = std::sqrt((Single(-2) * logarithm(v)).value);
    value = w - horner({2.658096, 1.9847062, 0.12814666}, w) /
                    horner({1.0, 2.0938668, 0.64554167, 0.022134762}, w);
  }
  return std::copysign(static_cast<float>(value.value), upper ? 1.0f : -1.0f);
}

template <class C>
double with_noise(const NoiseAffine& affine, double x, float number) {
  auto y = static_cast<C>(x);
  const C e = number;
  if (affine.factor != 0) y = y * (C{1} + static_cast<C>(affine.factor) * e);
  if (affine.addend != 0) y = y + static_cast<C>(affine.addend) * e;
  return y;
}

constexpr Law kLaws[] = {Law::kUniform, Law::kNormal, Law::kLogistic};
constexpr uint64_t kNoiseCarry = uint64_t{1} << 34;  // 4 * 2**32
constexpr uint64_t kNoiseBases[] = {0, kNoiseCarry - 100, 3 * kNoiseCarry - 512,
                                    uint64_t{1} << 63, uint64_t{0} - 300};

void check_words(Rng& rng, const Kernels& kernels) {
  const Key key = random_key(rng);
  const uint64_t index = rng.of(kNoiseBases) + static_cast<uint64_t>(rng.below(600));
  const auto domain = static_cast<uint32_t>(rng.below(16));
  const int64_t n = rng.chance(0.3) ? 32 * rng.between(1, kNoisePiece / 32)
                                     : rng.between(1, kNoisePiece);
  uint32_t words[kNoisePiece + 1];
  words[kNoisePiece] = 0xA5A5A5A5;
  kernels.noise_words(key, domain, index, n, words);
  ++checks;
  if (words[kNoisePiece] != 0xA5A5A5A5) fail("%s: a word too many written", kernels.name);
  for (int64_t i = 0; i < n; ++i) {
    if (words[i] != word_of_noise(key, domain, index + static_cast<uint64_t>(i))) {
      fail("%s, seed=%llu stream=%llu domain=%u index=%llu n=%lld: word %lld", kernels.name,
           static_cast<unsigned long long>(key.seed), static_cast<unsigned long long>(key.stream),
           domain, static_cast<unsigned long long>(index), static_cast<long long>(n),
           static_cast<long long>(i));
    }
  }
}

// Words at both ends, next to powers of two and to the ends of the central region, and any.
uint32_t word_for_noise(Rng& rng) {
  const uint32_t places[] = {0, 0x80000000, 0x0B800000, 0xF4800000, 1u << rng.below(32),
                             ~(1u << rng.below(32))};
  if (rng.chance(0.5)) return static_cast<uint32_t>(rng.next());
  if (rng.chance(0.3)) return static_cast<uint32_t>(rng.next() >> rng.between(32, 63));
  return rng.of(places) + static_cast<uint32_t>(rng.between(-4, 4));
}

void check_numbers(Rng& rng, const Kernels& kernels, Law law) {
  uint32_t words[kNoisePiece];
  float e[kNoisePiece + 1];
  const int64_t n = rng.between(1, kNoisePiece);
  const bool all_rare = rng.chance(0.1);
  for (auto& word : words) {
    word = all_rare ? static_cast<uint32_t>(rng.next() >> 40) : word_for_noise(rng);
  }
  e[kNoisePiece] = -77;
  kernels.noise(law, n, words, e);
  ++checks;
  if (e[kNoisePiece] != -77) fail("%s: a number too many written", kernels.name);
  for (int64_t i = 0; i < n; ++i) {
    const float expected = noise_of(law, words[i]);
    if (std::memcmp(&e[i], &expected, sizeof expected) != 0) {
      fail("%s, law %d, word %08x at %lld of %lld: %a, expected %a", kernels.name,
           static_cast<int>(law), words[i], static_cast<long long>(i), static_cast<long long>(n),
           static_cast<double>(e[i]), static_cast<double>(expected));
    }
  }
}

void check_noise_run(Rng& rng, const Kernels& kernels, const Arena& from, const Arena& to) {
  const DType type = rng.of(kTypes);
  const int size = size_of(type);
  const int64_t n = rng.between(1, kNoisePiece);
  float e[kNoisePiece];
  for (auto& number : e) number = noise_of(rng.of(kLaws), word_for_noise(rng));
  const double values[] = {0.0, 0.5, -1.75, 1e-3, 1e6};
  const NoiseAffine affine = {rng.of(values), rng.of(values)};
  // At the end of a page, or at its start.
  const bool at_end = rng.chance(0.5), in_place = rng.chance(0.2);
  unsigned char* const y = at_end ? to.end() - n * size : to.begin();
  to.guard(y, n * size);
  unsigned char* const x = in_place ? y : at_end ? from.end() - n * size : from.begin();
  from_pool(rng, type, Values::kAny, x, n);
  std::vector<unsigned char> expected(static_cast<size_t>(n * size));
  for (int64_t i = 0; i < n; ++i) {
    const double value = decode(type, x + i * size);
    encode(type, type == DType::kFloat64 ? with_noise<double>(affine, value, e[i])
                                         : with_noise<float>(affine, value, e[i]),
           &expected[static_cast<size_t>(i * size)]);
  }
  kernels.run_noise(type)(affine, x, y, n, e);
  ++checks;
  const int64_t different = first_difference(type, y, expected.data(), n);
  if (different >= 0) {
    fail("%s, %s, factor %a, addend %a: element %lld of %lld", kernels.name, name(type),
         affine.factor, affine.addend, static_cast<long long>(different),
         static_cast<long long>(n));
  }
  if (!to.untouched_around(y, n * size)) fail("%s: written outside of y", kernels.name);
}

void check_noise_job(const Kernels& kernels, uint64_t number, ParallelFor parallel_for,
                     bool large) {
  Rng rng = {number << 8 | 9};
  const DType type = rng.of(kTypes);
  const int64_t item = size_of(type);
  std::vector<int64_t> sizes = random_sizes(rng, large);
  const bool channels = rng.chance(0.2);
  const Sharing sharing(rng, large);
  if (channels) sizes = sharing.sizes;
  const size_t dims = sizes.size();
  const std::vector<int> order = channels || rng.chance(0.6) ? identity(dims) : shuffled(rng, dims);
  const bool own = rng.chance(0.3), gaps = !channels && rng.chance(0.3);
  const Layout to = random_layout(rng, sizes, order, item, gaps ? 0.4 : 0, 0);
  const bool in_place = rng.chance(0.15);
  const Layout from = in_place ? to
                               : random_layout(rng, sizes, own ? shuffled(rng, dims) : order, item,
                                               gaps ? 0.4 : 0, 0);
  std::vector<uint64_t> mask =
      channels ? row_major(sizes, order, sharing.along) : random_mask(rng, sizes);
  std::vector<Key> keys;
  const bool keyed = dims > 0 && rng.chance(0.3);
  for (int64_t i = 0; i < (keyed ? std::max<int64_t>(1, sizes[0]) : 1); ++i) {
    keys.push_back(random_key(rng));
  }
  if (keyed) mask[0] = 0;
  NoiseJob job = {type,        rng.of(kLaws), {rng.chance(0.5) ? 0.5 : 0.0, rng.chance(0.5) ? 2.0 : 0.0},
                  nullptr,     nullptr,       {},
                  keys.data(), rng.chance(0.5) ? rng.of(kNoiseBases) : rng.next()};
  for (size_t d = 0; d < dims; ++d) {
    job.add_dim(sizes[d], from.stride[d], to.stride[d], mask[d], keyed && d == 0 ? 1 : 0);
  }
  constexpr int64_t kAround = 64;
  std::vector<unsigned char> x(static_cast<size_t>(from.bytes + 2 * kAround), kCanary);
  std::vector<unsigned char> y(static_cast<size_t>(to.bytes + 2 * kAround), kCanary);
  unsigned char* const x_first = (in_place ? y : x).data() + kAround;
  from_pool(rng, type, Values::kAny, x_first, (in_place ? to : from).bytes / item);
  std::vector<unsigned char> expected = y;
  each_coordinate(sizes, [&](const std::vector<int64_t>& at) {
    int64_t x_offset = 0, y_offset = 0;
    uint64_t index = job.base;
    for (size_t d = 0; d < dims; ++d) {
      x_offset += at[d] * from.stride[d];
      y_offset += at[d] * to.stride[d];
      index += mask[d] * static_cast<uint64_t>(at[d]);
    }
    const Key& key = keys[keyed ? static_cast<size_t>(at[0]) : 0];
    const float e = noise_of(job.law, word_of_noise(key, static_cast<uint32_t>(job.law), index));
    const double value = decode(type, x_first + x_offset);
    encode(type, type == DType::kFloat64 ? with_noise<double>(job.affine, value, e)
                                         : with_noise<float>(job.affine, value, e),
           &expected[static_cast<size_t>(kAround + y_offset)]);
  });
  job.x = x_first;
  job.y = y.data() + kAround;
  if (!job.dims.empty()) {
    Dim& dim = job.dims[job.dims.size() / 2];
    if (breaks("noise-key-stride")) job.dims[0].key = 0;
    if (breaks("noise-mask-stride")) dim.mask += 1;
  }
  if (breaks("noise-base")) job.base &= 0xFFFFFFFF;
  torchdropout::run(kernels, job, parallel_for);
  ++checks;
  // Element by element: any NaN for a NaN. Between elements are canaries.
  for (size_t i = 0; i < y.size(); i += static_cast<size_t>(item)) {
    const auto length = std::min(static_cast<size_t>(item), y.size() - i);
    if (std::memcmp(&y[i], &expected[i], length) != 0 &&
        !(length == static_cast<size_t>(item) && same_element(type, &y[i], &expected[i]))) {
      fail("%s, job %llu, %s, law %d: at byte %zu of %zu", kernels.name,
           static_cast<unsigned long long>(number), name(type), static_cast<int>(job.law), i,
           y.size());
    }
  }
}

void test_noise() {
  const double known = noise_of(Law::kNormal, word_of_noise({0, 0}, 2, 0));
  if (known != 2.0171899795532227) fail("the definition: %a", known);
  const uint64_t cases = std::max<uint64_t>(40, options.cases / 20 / static_cast<uint64_t>(options.thin));
  const Arena from(kNoisePiece * 8), to(kNoisePiece * 8);
  Rng rng = {8};
  for (const Kernels* kernels : under_test) {
    for (uint64_t i = 0; i < cases; ++i) {
      check_words(rng, *kernels);
      check_noise_run(rng, *kernels, from, to);
    }
    for (Law law : kLaws) {
      for (uint64_t i = 0; i < cases; ++i) check_numbers(rng, *kernels, law);
    }
    const uint64_t ways = sizeof kWays / sizeof kWays[0];
    for (uint64_t number = 0; number < cases; ++number) {
      check_noise_job(*kernels, number, kWays[number % ways], number % 100 == 7);
    }
  }
}

// --- blocks --------------------------------------------------------------------------------------

template <class T>
void check_blocks(Rng& rng, const Kernels& kernels, DType type, ParallelFor parallel_for) {
  torchdropout::BlocksJob job = {};
  const int64_t outer = rng.between(0, 2), dims = rng.between(1, 3);
  const int64_t longest = dims == 1 ? 300 : dims == 2 ? 20 : 8;
  const uint64_t limit = rng.chance(0.5) ? rng.next() >> 34 : rng.next() >> 32;
  job.type = type;
  job.scale = 1.0 / 0.7;
  job.key = {rng.next(), rng.next() >> 4};
  job.threshold = threshold(limit);
  job.base = rng.chance(0.5) ? rng.next() : (uint64_t{1} << 35) - static_cast<uint64_t>(rng.between(0, 99));
  job.block = rng.chance(0.2) ? rng.between(60, 140) : rng.between(1, 9);
  if (dims > 1) job.block = std::min<int64_t>(job.block, 9);
  std::vector<int64_t> sizes, strides;
  for (int64_t d = 0; d < dims; ++d) {
    job.sizes.push_back(rng.chance(0.05) ? 0 : rng.between(1, longest));
    if (rng.chance(0.1)) job.sizes.back() = rng.between(60, 140) / (dims > 2 ? 8 : 1);
  }
  int64_t seeds = 1, places = 1;
  for (size_t d = job.sizes.size(); d-- > 0;) {
    strides.insert(strides.begin(), seeds);
    seeds *= job.sizes[d] + job.block - 1;
    places *= job.sizes[d];
  }
  int64_t planes = 1;
  for (int64_t d = 0; d < outer; ++d) {
    const int64_t size = rng.chance(0.05) ? 0 : rng.between(1, 5);
    job.outer.push_back({size, rng.chance(0.4) ? 0 : static_cast<uint64_t>(seeds + rng.between(-9, 9))});
    planes *= size;
  }
  const int64_t n = planes * places;
  std::vector<T> x(static_cast<size_t>(n)), y(x.size() + 1, T{7});
  for (T& value : x) {
    value = rng.chance(0.1) ? std::numeric_limits<T>::quiet_NaN() : static_cast<T>(rng.between(1, 9));
  }
  job.x = x.data();
  job.y = y.data();
  const torchdropout::BlocksJob right = job;
  if (breaks("block-size")) ++job.block;
  if (breaks("plane-stride") && outer > 0) ++job.outer.back().stride;
  torchdropout::run(kernels, job, parallel_for);
  std::vector<bool> kept(static_cast<size_t>(seeds));
  for (int64_t plane = 0; plane < planes; ++plane) {
    uint64_t index = right.base;
    int64_t rest = plane;
    for (size_t d = right.outer.size(); d-- > 0;) {
      index += static_cast<uint64_t>(rest % right.outer[d].size) * right.outer[d].stride;
      rest /= right.outer[d].size;
    }
    Uniforms uniforms;
    for (int64_t i = 0; i < seeds; ++i) {
      kept[static_cast<size_t>(i)] = uniforms.at(right.key, index + static_cast<uint64_t>(i)) >= limit;
    }
    for (int64_t i = 0; i < places; ++i) {
      int64_t first = 0;
      rest = i;
      for (size_t d = right.sizes.size(); d-- > 0;) {
        first += rest % right.sizes[d] * strides[d];
        rest /= right.sizes[d];
      }
      bool all = true;
      int64_t block = 1;
      for (int64_t d = 0; d < dims; ++d) block *= right.block;
      for (int64_t j = 0; j < block && all; ++j) {
        int64_t seed = first;
        rest = j;
        for (size_t d = right.sizes.size(); d-- > 0;) {
          seed += rest % right.block * strides[d];
          rest /= right.block;
        }
        all = kept[static_cast<size_t>(seed)];
      }
      const auto at = static_cast<size_t>(plane * places + i);
      const T expected = all ? x[at] * static_cast<T>(job.scale) : T{0};
      ++checks;
      if (std::memcmp(&y[at], &expected, sizeof expected) != 0 &&
          !(std::isnan(y[at]) && std::isnan(expected))) {
        fail("%s: place %lld of %lld, plane %lld of %lld, blocks of %lld", kernels.name,
             static_cast<long long>(i), static_cast<long long>(places), static_cast<long long>(plane),
             static_cast<long long>(planes), static_cast<long long>(right.block));
      }
    }
  }
  if (y.back() != T{7}) fail("written past the end");
}

void test_blocks() {
  Rng rng = {9};
  const uint64_t ways = sizeof kWays / sizeof kWays[0];
  for (const Kernels* kernels : under_test) {
    for (uint64_t number = 0; number < std::max<uint64_t>(60, options.cases / 400); ++number) {
      check_blocks<float>(rng, *kernels, DType::kFloat32, kWays[number % ways]);
      check_blocks<double>(rng, *kernels, DType::kFloat64, kWays[number % ways]);
    }
  }
}

// --- a fixed count of each group -----------------------------------------------------------------

template <class T>
void check_groups(Rng& rng, const Kernels& kernels, DType type, ParallelFor parallel_for) {
  const int group = static_cast<int>(rng.chance(0.5) ? int64_t{1} << rng.between(1, 3) : rng.between(1, 64));
  const int kept = static_cast<int>(rng.between(0, group));
  const int64_t groups = rng.chance(0.1) ? 0 : rng.between(1, 2000 / group + 1);
  const int64_t n = groups * group;
  std::vector<T> x(static_cast<size_t>(n)), y(x.size() + 1, T{7});
  for (T& value : x) {
    value = rng.chance(0.1) ? std::numeric_limits<T>::quiet_NaN() : static_cast<T>(rng.between(1, 9));
  }
  torchdropout::GroupsJob job = {};
  job.type = type;
  job.scale = 1.0 / 0.7;
  job.x = x.data();
  job.y = y.data();
  job.key = {rng.next(), rng.next() >> 4};
  job.domain = 4;
  job.base = rng.chance(0.5) ? rng.next() : (uint64_t{1} << 34) - static_cast<uint64_t>(rng.between(0, 99));
  job.groups = groups;
  job.group = group;
  job.kept = kept;
  const uint64_t base = job.base;
  if (breaks("group-base")) ++job.base;
  torchdropout::run(kernels, job, parallel_for);
  for (int64_t g = 0; g < groups; ++g) {
    std::vector<std::pair<uint32_t, int>> order;
    for (int i = 0; i < group; ++i) {
      order.emplace_back(word_of_noise(job.key, 4, base + static_cast<uint64_t>(g * group + i)), i);
    }
    std::sort(order.begin(), order.end());
    for (int i = 0; i < group; ++i) {
      ++checks;
      const auto at = static_cast<size_t>(g * group + order[static_cast<size_t>(i)].second);
      const T expected = i < kept ? x[at] * static_cast<T>(job.scale) : T{0};
      if (std::memcmp(&y[at], &expected, sizeof expected) != 0 &&
          !(std::isnan(y[at]) && std::isnan(expected))) {
        fail("%s: %d of %d, group %lld of %lld", kernels.name, kept, group,
             static_cast<long long>(g), static_cast<long long>(groups));
      }
    }
  }
  if (y.back() != T{7}) fail("written past the end");
}

// The first place of equal words is kept. Two of a group are equal once in 2^32 pairs: this one is
// of tests/functional/test_structured_mask.py.
void check_tied_group(const Kernels& kernels, ParallelFor parallel_for) {
  std::vector<float> x(64, 1.0f), y(64, 7.0f);
  torchdropout::GroupsJob job = {};
  job.type = DType::kFloat32;
  job.scale = 1.0;
  job.x = x.data();
  job.y = y.data();
  job.key = {(uint64_t{1} << 63) + 5, (uint64_t{1} << 59) + 6};
  job.domain = 4;
  job.base = 64 * uint64_t{1473980};
  job.groups = 1;
  job.group = 64;
  job.kept = 7;
  ++checks;
  if (word_of_noise(job.key, 4, job.base + 21) != word_of_noise(job.key, 4, job.base + 51)) {
    fail("the words are not equal");
  }
  torchdropout::run(kernels, job, parallel_for);
  if (y[21] != 1.0f || y[51] != 0.0f) fail("%s: of equal words the later was kept", kernels.name);
}

void check_places(Rng& rng, const Kernels& kernels, ParallelFor parallel_for) {
  torchdropout::PlacesJob job = {};
  job.key = {rng.next(), rng.next() >> 4};
  job.domain = 4;
  job.base = rng.chance(0.5) ? rng.next() : (uint64_t{1} << 34) - static_cast<uint64_t>(rng.between(0, 99));
  job.rows = rng.between(0, 5);
  job.size = rng.chance(0.5) ? rng.between(1, 40) : rng.between(1, 1500);
  job.kept = rng.chance(0.2) ? job.size : rng.between(1, job.size);
  job.ascending = rng.chance(0.5);
  std::vector<int64_t> places(static_cast<size_t>(job.rows * job.kept) + 1, -7);
  job.places = places.data();
  const uint64_t base = job.base;
  if (breaks("places-base")) ++job.base;
  torchdropout::run(kernels, job, parallel_for);
  for (int64_t row = 0; row < job.rows; ++row) {
    std::vector<std::pair<uint32_t, int64_t>> order;
    for (int64_t i = 0; i < job.size; ++i) {
      order.emplace_back(word_of_noise(job.key, 4, base + static_cast<uint64_t>(row * job.size + i)), i);
    }
    std::sort(order.begin(), order.end());
    order.resize(static_cast<size_t>(job.kept));
    if (job.ascending) {
      std::sort(order.begin(), order.end(), [](auto a, auto b) { return a.second < b.second; });
    }
    for (size_t i = 0; i < order.size(); ++i) {
      ++checks;
      if (places[static_cast<size_t>(row * job.kept) + i] != order[i].second) {
        fail("%s: %lld of %lld, row %lld", kernels.name, static_cast<long long>(job.kept),
             static_cast<long long>(job.size), static_cast<long long>(row));
      }
    }
  }
  if (places.back() != -7) fail("written past the end");
}

void test_groups() {
  Rng rng = {10};
  const uint64_t ways = sizeof kWays / sizeof kWays[0];
  for (const Kernels* kernels : under_test) {
    for (uint64_t number = 0; number < std::max<uint64_t>(60, options.cases / 400); ++number) {
      check_groups<float>(rng, *kernels, DType::kFloat32, kWays[number % ways]);
      check_groups<double>(rng, *kernels, DType::kFloat64, kWays[number % ways]);
      check_places(rng, *kernels, kWays[number % ways]);
    }
    check_tied_group(*kernels, kWays[0]);
  }
}

void test_definition() {
  // Random123's known answers: this file's Philox is the published one.
  const uint32_t known[3][10] = {
      {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
      {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
       0x94fdcceb, 0x5001e420, 0x24126ea1}};
  for (const auto& row : known) {
    uint32_t out[4];
    philox(row, row + 4, out);
    ++checks;
    if (std::memcmp(out, row + 6, sizeof out) != 0) fail("Philox");
  }
  Rng rng = {9};
  for (int i = 0; i < 100000; ++i) {
    // Random, near both ends, and halfway between two thresholds.
    const double p = i % 3 == 0   ? rng.real()
                     : i % 3 == 1 ? std::ldexp(rng.real(), -static_cast<int>(rng.below(70)))
                                  : std::ldexp(static_cast<double>(rng.next() >> 32) * 2 + 1, -33);
    const Threshold t = Threshold::of(p);
    ++checks;
    if ((uint64_t{t.high} << 16 | t.low) != of_probability(p) || t.low > 0xFFFF) fail("p=%a", p);
  }
  for (double p : {0.0, 1.0, 0x1p-33, 0x1.8p-32, 1 - 0x1p-33}) {
    const Threshold t = Threshold::of(p);
    if ((uint64_t{t.high} << 16 | t.low) != of_probability(p)) fail("p=%a", p);
  }
  for (DType type : kTypes) {
    if (torchdropout::item_size(type) != size_of(type)) fail("size of %s", name(type));
  }
  const auto usable = torchdropout::usable_kernels();
  if (usable.empty() || usable[0] != torchdropout::kScalarKernels) fail("scalar is not usable");
  for (const Kernels* kernels : usable) {
    if (!torchdropout::lacking(kernels->name).empty()) fail("%s: usable, lacking", kernels->name);
  }
  for (const char* other : {"neon", "avx2", "avx512", "none"}) {
    bool there = false;
    for (const Kernels* kernels : usable) there = there || std::string(kernels->name) == other;
    if (there == !torchdropout::lacking(other).empty()) fail("%s: usable or lacking", other);
  }
}

constexpr const char* kBreaks[] = {
    "types",          "keep-bit",      "keep-tail",      "keep-overrun",     "tie",
    "tie-or-equal",   "block-carry",   "seed-high",      "stream-high",      "tie-in-run",
    "block-carry-in-run", "index-of-run", "bits-of-run", "bits-past-end",    "in-place",
    "scale-ulp", "drop-value",   "read-past-end",  "read-before-start", "tail",
    "overrun",        "streaming",     "dropped-product", "dropped-sign",    "nan-to-infinity",
    "subnormal-to-zero", "ties-away",  "fused",          "sum-of-rounded",   "sum-overwritten",
    "mask-stride",    "mask-stride-high", "x-stride",    "residual-stride",  "bias-stride",
    "key-stride",     "gap",           "base-high",      "lost-piece",       "noise-carry",
    "noise-stream",   "noise-domain",  "noise-word",     "noise-ulp",        "noise-tail",
    "noise-sign",     "noise-addend",  "noise-factor",   "noise-overrun",    "noise-key-stride",
    "noise-mask-stride", "noise-base", "block-size", "plane-stride", "group-base",
    "places-base",
};

constexpr struct {
  const char* name;
  void (*test)();
} kSections[] = {{"definition", test_definition}, {"types", test_types},
                 {"keep", test_keep_bits},        {"runs", test_runs},
                 {"rounding", test_rounding},     {"nan", test_nan_constants},
                 {"guard", test_guard_pages},     {"sums", test_sums},
                 {"jobs", test_jobs},             {"streaming", test_streaming_jobs},
                 {"noise", test_noise},           {"blocks", test_blocks},
                 {"groups", test_groups}};

void read_options(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const size_t split = argument.find('=');
    const std::string option = argument.substr(0, split);
    const std::string value = split == std::string::npos ? "" : argument.substr(split + 1);
    if (option == "--cases") options.cases = std::strtoull(value.c_str(), nullptr, 10);
    else if (option == "--only") options.only = value;
    else if (option == "--kernels") options.kernels = "," + value + ",";
    else if (option == "--thin") options.thin = std::max(1, std::atoi(value.c_str()));
    else if (option == "--break") options.broken = value;
    else if (option == "--list-breaks") {
      for (const char* what : kBreaks) std::printf("%s\n", what);
      std::exit(0);
    } else {
      std::printf("unknown option %s\n", argv[i]);
      std::exit(2);
    }
  }
  bool known = options.broken.empty(), there = options.only.empty();
  for (const char* what : kBreaks) known = known || options.broken == what;
  for (const auto& one : kSections) there = there || options.only == one.name;
  if (!known || !there) {
    std::printf("no such section or break\n");
    std::exit(2);
  }
}

}  // namespace

int main(int argc, char** argv) {
  read_options(argc, argv);
  std::signal(SIGSEGV, crashed);
  std::signal(SIGBUS, crashed);
  std::signal(SIGILL, crashed);
  for (const Kernels* kernels : torchdropout::usable_kernels()) {
    const std::string asked = "," + std::string(kernels->name) + ",";
    if (options.kernels.empty() || options.kernels.find(asked) != std::string::npos) {
      under_test.push_back(kernels);
    }
  }
  if (under_test.empty()) {
    std::printf("none of these kernels can run here\n");
    return 2;
  }
  if (!options.broken.empty()) {
    healthy = under_test.back();
    damaged = {healthy->name,       damaged_runs,  damaged_keep_bits,
               damaged_noise_words, damaged_noise, damaged_run_noises};
    under_test.assign(1, &damaged);
  }
  std::printf("kernels:");
  for (const Kernels* kernels : under_test) std::printf(" %s", kernels->name);
  std::printf("\n");
  uint64_t all = 0;
  for (const auto& [title, test] : kSections) {
    if (!options.only.empty() && options.only != title) continue;
    section = title;
    checks = 0;
    test();
    std::printf("%-10s %9llu results compared, 0 differences\n", title,
                static_cast<unsigned long long>(checks));
    std::fflush(stdout);
    all += checks;
  }
  std::printf("OK: %llu results, %llu pieces of split work\n", static_cast<unsigned long long>(all),
              static_cast<unsigned long long>(splits));
  return 0;
}
