// The loops over a run, written once; an instruction set fills in the vectors.
//
// An instruction set `Isa` works on groups of 64 elements and offers
//   Keep                        keep bits of a group, in the form that its selects need
//   kBatch                      groups whose bits are made together, to hide Philox's latency
//   make_keep<n>(folded, mask, block, keep[n])   bits of n groups from `block` on
//   from_bits(word), to_bits(keep)
//   Pack<C>                     values of compute type C, `Pack<C>::kSize` of them
//   load<L, C>(const T*), store<L, streaming>(T*, pack)   from and to element type T
//   keep_of<L, C>(keep, i)      the part of a group's bits that belongs to its pack i
//   broadcast, add, multiply, select(part, kept, dropped)
//   fence()                     orders streaming stores before later stores
// L is the order of the elements of a pack; see Order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "folded.h"
#include "kernels.h"
#include "types.h"

namespace torchdropout {

constexpr int kBlocks = kGroup / kPerBlock;  // Philox calls per group

// Elementwise work may put an element into any lane, as long as all operands agree. If all operands
// are bfloat16 the even and the odd elements are separated, which takes one shift and one mask.
enum class Order { kSequential, kEvenOdd };

// An element whose high half ties with the threshold is dropped if its low half is below.
static inline uint64_t drop_ties(const IndexedMask& mask, uint64_t block, uint64_t keep,
                                 uint64_t ties) {
  for (; ties != 0; ties &= ties - 1) {
    const int place = __builtin_ctzll(ties);
    if (low_half(mask.key, block * kPerBlock + place) < mask.threshold.low) {
      keep &= ~(uint64_t{1} << place);
    }
  }
  return keep;
}

// The lines of n elements that lie `ahead` bytes further on.
template <int write, int n, class T>
static inline void prefetch(const T* p, int64_t ahead) {
  // Through an integer, because computing a pointer past the end of its array is undefined.
  const auto at = reinterpret_cast<uintptr_t>(p) + static_cast<uintptr_t>(ahead);
  for (size_t i = 0; i < n * sizeof(T); i += 64) {
    __builtin_prefetch(reinterpret_cast<const void*>(at + i), write);
  }
}

template <class Isa, Op op, class X, class Y>
class Runner {
  using C = Compute<X>;
  using Pack = typename Isa::template Pack<C>;
  using Keep = typename Isa::Keep;
  static constexpr bool kBias = op == Op::kAddBias;
  static constexpr bool kResidual = op == Op::kAdd || op == Op::kAddBias;
  static constexpr bool kSums = op == Op::kSum;
  static constexpr Order kOrder = std::is_same<X, BFloat16>::value &&
                                          std::is_same<Y, BFloat16>::value && !kBias && !kSums
                                      ? Order::kEvenOdd
                                      : Order::kSequential;
  // Bytes ahead of the reads and writes: what a core has in flight while it waits for memory.
  static constexpr int kAhead = 2048;

  // An element in each operand. Loops count from one of their own: pointers that are moved from
  // group to group, and are members in the end, GCC keeps in memory or packs into a vector register.
  struct At {
    const X* x;
    Y* y;
    const Y* residual;
    const C* bias;
    C* sums;

    At moved(int64_t n) const {
      return {x + n, y + n, kResidual ? residual + n : residual, kBias ? bias + n : bias,
              kSums ? sums + n : sums};
    }
  };

  const Pack scale_, shift_, drop_value_;
  At at_;

 public:
  Runner(const Affine& affine, const Operands& at)
      : scale_(Isa::broadcast(constant(affine.scale))),
        shift_(Isa::broadcast(constant(affine.shift))),
        drop_value_(Isa::broadcast(constant(kResidual || kSums ? 0.0 : affine.drop_value))),
        at_{static_cast<const X*>(at.x), static_cast<Y*>(at.y),
            static_cast<const Y*>(at.residual), static_cast<const C*>(at.bias),
            static_cast<C*>(at.sums)} {}

  static void indexed(const Affine& affine, const Operands& at, int64_t n, const IndexedMask& mask,
                      bool streaming) {
    Runner runner(affine, at);
    streaming ? runner.template by_index<true>(n, mask) : runner.template by_index<false>(n, mask);
    if (streaming) Isa::fence();
  }

  static void bits(const Affine& affine, const Operands& at, int64_t n, const uint64_t* words,
                   bool streaming) {
    Runner runner(affine, at);
    streaming ? runner.template by_bits<true>(n, words) : runner.template by_bits<false>(n, words);
    if (streaming) Isa::fence();
  }

 private:
  // A NaN without a payload: rounding one could carry into its sign.
  static C constant(double value) {
    return value != value ? std::numeric_limits<C>::quiet_NaN() : static_cast<C>(value);
  }

  template <bool streaming>
  void by_index(int64_t n, const IndexedMask& mask) {
    uint64_t index = mask.index;
    if (const int skipped = index % kPerBlock) {
      const int head = static_cast<int>(std::min<int64_t>(kPerBlock - skipped, n));
      Keep keep;
      Isa::template make_keep<1>(folded_at(mask, index), mask, index / kPerBlock, &keep);
      partial(Isa::from_bits(Isa::to_bits(keep) >> skipped), head);
      index += head;
      n -= head;
    }
    while (n > 0) {
      // Up to the point where the high word of the block number changes.
      const uint64_t block = index / kPerBlock;
      const uint64_t same = ((uint64_t{1} << 32) - (block & 0xFFFFFFFF)) * kPerBlock;
      const auto part = static_cast<int64_t>(std::min<uint64_t>(same, static_cast<uint64_t>(n)));
      if (streaming && aligned()) {
        segment<streaming>(part, mask, block);
      } else {
        segment<false>(part, mask, block);
      }
      index += static_cast<uint64_t>(part);
      n -= part;
    }
  }

  static Folded folded_at(const IndexedMask& mask, uint64_t index) {
    return Folded(mask.key, static_cast<uint32_t>(index / kPerBlock >> 32));
  }

  // Elements of whole blocks that share the high word of their number, and an incomplete last one.
  template <bool streaming>
  void segment(int64_t n, const IndexedMask& mask, uint64_t block) {
    const Folded folded(mask.key, static_cast<uint32_t>(block >> 32));
    batches<streaming, Isa::kBatch>(folded, mask, &block, &n);
    if (Isa::kBatch > 4) batches<streaming, 4>(folded, mask, &block, &n);  // rows are often short
    batches<streaming, 1>(folded, mask, &block, &n);
    if (n > 0) {
      Keep keep;
      Isa::template make_keep<1>(folded, mask, block, &keep);
      partial(keep, static_cast<int>(n));
    }
  }

  template <bool streaming, int size>
  void batches(const Folded& folded, const IndexedMask& mask, uint64_t* block, int64_t* n) {
    Keep keep[size];
    const At from = at_;
    int64_t done = 0;
    for (; *n - done >= kGroup * size; *block += kGroup / kPerBlock * size) {
      Isa::template make_keep<size>(folded, mask, *block, keep);
      for (int i = 0; i < size; ++i, done += kGroup) {
        const At at = from.moved(done);
        prefetch_ahead<streaming>(at);
        each_pack<streaming>(Mixed{keep[i], drop_value_}, at);
      }
    }
    at_ = from.moved(done);
    *n -= done;
  }

  template <bool streaming>
  void by_bits(int64_t n, const uint64_t* words) {
    if (streaming && !aligned()) return by_bits<false>(n, words);
    // Draws that many elements share make whole groups of one kind, which need no selection, and
    // if they are dropped no x.
    const At from = at_;
    int64_t done = 0;
    for (; n - done >= kGroup; done += kGroup, ++words) {
      const At at = from.moved(done);
      if (*words == ~uint64_t{0}) {
        each_pack<streaming>([](int, Pack value) { return value; }, at);
      } else if (*words == 0) {
        each_pack<streaming>([&](int, Pack) { return drop_value_; }, at);
      } else {
        each_pack<streaming>(Mixed{Isa::from_bits(*words), drop_value_}, at);
      }
    }
    at_ = from.moved(done);
    n -= done;
    if (n > 0) partial(Isa::from_bits(*words), static_cast<int>(n));
  }

  bool aligned() const { return reinterpret_cast<uintptr_t>(at_.y) % 64 == 0; }

  struct Mixed {
    const Keep& keep;
    const Pack& dropped;
    Pack operator()(int i, const Pack& value) const {
      return Isa::select(Isa::template keep_of<kOrder, C>(keep, i), value, dropped);
    }
  };

  // For as long as a batch of bits takes, a core reads nothing by itself. `by_bits` makes none, and
  // is slower with this.
  template <bool streaming>
  static void prefetch_ahead(const At& at) {
    prefetch<0, kGroup>(at.x, kAhead);
    if (kResidual) prefetch<0, kGroup>(at.residual, kAhead);
    if (!streaming && static_cast<const void*>(at.x) != at.y) prefetch<1, kGroup>(at.y, kAhead);
  }

  // The first n elements of a group, through buffers, so nothing is read or written past them.
  void partial(const Keep& keep, int n) {
    alignas(64) X x[kGroup] = {};
    alignas(64) Y y[kGroup];
    alignas(64) Y residual[kGroup] = {};
    alignas(64) C bias[kGroup] = {};
    alignas(64) C sums[kGroup] = {};
    std::memcpy(x, at_.x, n * sizeof(X));
    if (kResidual) std::memcpy(residual, at_.residual, n * sizeof(Y));
    if (kBias) std::memcpy(bias, at_.bias, n * sizeof(C));
    if (kSums) std::memcpy(sums, at_.sums, n * sizeof(C));
    each_pack<false>(Mixed{keep, drop_value_}, At{x, y, residual, bias, sums});
    std::memcpy(at_.y, y, n * sizeof(Y));
    if (kSums) std::memcpy(at_.sums, sums, n * sizeof(C));
    at_ = at_.moved(n);
  }

  // A group: `selected(i, value)` is what pack i becomes if `value` is what is kept of it.
  template <bool streaming, class Selected>
  void each_pack(const Selected& selected, const At& group) const {
    constexpr int kSize = Pack::kSize;
    for (int i = 0; i < kGroup / kSize; ++i) {
      const int at = i * kSize;
      Pack value = Isa::template load<kOrder, C>(group.x + at);
      if (kBias) value = Isa::add(value, Isa::template load<kOrder, C>(group.bias + at));
      value = Isa::multiply(value, scale_);
      if (op == Op::kShift) value = Isa::add(value, shift_);
      value = selected(i, value);
      if (kResidual) value = Isa::add(Isa::template load<kOrder, C>(group.residual + at), value);
      if (kSums) {
        Isa::template store<kOrder, false>(
            group.sums + at,
            Isa::add(Isa::template load<kOrder, C>(group.sums + at), value));
      }
      Isa::template store<kOrder, streaming>(group.y + at, value);
    }
  }
};

// Keep bits of whole groups from `block` on, 64 mask indices per word.
template <class Isa>
void keep_groups(const IndexedMask& mask, uint64_t block, int64_t n, uint64_t* words) {
  const auto folded_at = [&](uint64_t b) {
    return Folded(mask.key, static_cast<uint32_t>(b >> 32));
  };
  Folded folded = folded_at(block);
  typename Isa::Keep keep[Isa::kBatch];
  while (n > 0) {
    const uint64_t same = (uint64_t{1} << 32) - (block & 0xFFFFFFFF);
    if (same == uint64_t{1} << 32) folded = folded_at(block);
    if (n >= Isa::kBatch && same >= kBlocks * Isa::kBatch) {
      Isa::template make_keep<Isa::kBatch>(folded, mask, block, keep);
      for (int i = 0; i < Isa::kBatch; ++i) *words++ = Isa::to_bits(keep[i]);
      block += kBlocks * Isa::kBatch;
      n -= Isa::kBatch;
      continue;
    }
    Isa::template make_keep<1>(folded, mask, block, keep);
    uint64_t word = Isa::to_bits(keep[0]);
    block += kBlocks;
    if (same < kBlocks) {  // the high word of the block number changes within the group
      folded = folded_at(block);
      Isa::template make_keep<1>(folded, mask, block - kBlocks, keep);
      const uint64_t before = (uint64_t{1} << same * kPerBlock) - 1;
      word = (word & before) | (Isa::to_bits(keep[0]) & ~before);
    }
    *words++ = word;
    --n;
  }
}

template <class Isa>
void keep_bits(const IndexedMask& mask, int64_t n, uint64_t* bits) {
  const int skipped = mask.index % kPerBlock;
  uint64_t block = mask.index / kPerBlock;
  int64_t left = (n + kGroup - 1) / kGroup;
  if (skipped == 0) return keep_groups<Isa>(mask, block, left, bits);
  // Each word takes the end of one group and the start of the next.
  constexpr int kChunk = 64;
  uint64_t groups[kChunk + 1];
  for (; left > 0; left -= kChunk, block += kChunk * (kGroup / kPerBlock)) {
    const int words = static_cast<int>(std::min<int64_t>(left, kChunk));
    keep_groups<Isa>(mask, block, words + 1, groups);
    for (int i = 0; i < words; ++i) {
      *bits++ = groups[i] >> skipped | groups[i + 1] << (kGroup - skipped);
    }
  }
}

template <class Isa, Op op>
Runs runs_of(DType x, DType y) {
  const auto of = [](auto* from, auto* to) {
    using R = Runner<Isa, op, std::remove_pointer_t<decltype(from)>,
                     std::remove_pointer_t<decltype(to)>>;
    return Runs{R::indexed, R::bits};
  };
  float* f32 = nullptr;
  double* f64 = nullptr;
  Float16* f16 = nullptr;
  BFloat16* bf16 = nullptr;
  if (x == y) {
    switch (x) {
      case DType::kFloat32:
        return of(f32, f32);
      case DType::kFloat64:
        return of(f64, f64);
      case DType::kFloat16:
        return of(f16, f16);
      case DType::kBFloat16:
        return of(bf16, bf16);
    }
  }
  // A half type with a float32 residual: the sum is float32, and so is the incoming gradient.
  constexpr bool kForward = op == Op::kAdd || op == Op::kAddBias;
  constexpr bool kBackward = op == Op::kScale || op == Op::kSum;
  if constexpr (kForward) {
    if (x == DType::kFloat16 && y == DType::kFloat32) return of(f16, f32);
    if (x == DType::kBFloat16 && y == DType::kFloat32) return of(bf16, f32);
  }
  if constexpr (kBackward) {
    if (x == DType::kFloat32 && y == DType::kFloat16) return of(f32, f16);
    if (x == DType::kFloat32 && y == DType::kBFloat16) return of(f32, bf16);
  }
  return {nullptr, nullptr};
}

template <class Isa>
Runs runs(Op op, DType x, DType y) {
  switch (op) {
    case Op::kScale:
      return runs_of<Isa, Op::kScale>(x, y);
    case Op::kShift:
      return runs_of<Isa, Op::kShift>(x, y);
    case Op::kAdd:
      return runs_of<Isa, Op::kAdd>(x, y);
    case Op::kAddBias:
      return runs_of<Isa, Op::kAddBias>(x, y);
    case Op::kSum:
      return runs_of<Isa, Op::kSum>(x, y);
  }
  return {nullptr, nullptr};
}

}  // namespace torchdropout
