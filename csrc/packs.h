// What the packs of all vector instruction sets have in common: a pack is two vectors, a and b.
#pragma once

#include "run.h"

namespace torchdropout {

template <class Isa>
struct OnPacks {
  template <Order order, class C, class Keep>
  static auto keep_of(const Keep& keep, int i) {
    return Isa::template Pack<C>::template part<order>(keep, i);
  }
  template <Order order, class C, class T>
  static auto load(const T* p) {
    return Isa::template Pack<C>::template load<order>(p);
  }
  template <Order order, bool streaming, class Pack, class T>
  static void store(T* p, const Pack& pack) {
    pack.template store<order, streaming>(p);
  }
  template <class C>
  static auto broadcast(C value) {
    return Isa::template Pack<C>::broadcast(value);
  }
  template <class Pack>
  static Pack add(const Pack& x, const Pack& y) {
    return {x.a + y.a, x.b + y.b};
  }
  template <class Pack>
  static Pack multiply(const Pack& x, const Pack& y) {
    return {x.a * y.a, x.b * y.b};
  }
  template <class Part, class Pack>
  static Pack select(const Part& keep, const Pack& kept, const Pack& dropped) {
    return Pack::select(keep, kept, dropped);
  }
};

}  // namespace torchdropout
