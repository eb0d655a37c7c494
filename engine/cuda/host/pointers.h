// What a kernel's pointers are on the stand-in: objects that pass every access on to be checked. On a GPU the
// same names are bare pointers and arrays (gpu_nvcc.h).
//
// An element is an object too, which becomes its value only where it stands: `const float v = x[i]` reads,
// `x[i] = v` writes, and keeping `auto v = x[i]` for later does not compile.
#pragma once

#include <concepts>
#include <cstring>
#include <type_traits>

#include "engine/cuda/host/access.h"
#include "engine/cuda/host/block.h"

#define STANDIN_INLINE inline __attribute__((always_inline))

namespace engine::standin {

/// An index, with the line that it stands in: `x[i]` makes one.
struct At {
  int64_t i;
  Where where;
  template <std::integral I>
  STANDIN_INLINE At(I index, Where w = Where::here()) : i(int64_t(index)), where(w) {}
};

template <class T>
class GlobalElement {
 public:
  using Value = std::remove_const_t<T>;
  STANDIN_INLINE GlobalElement(const Allocation* block, T* p, Where where)
      : block_(block), p_(p), where_(where) {}

  STANDIN_INLINE operator Value() && { return get(); }
  STANDIN_INLINE void operator=(const Value& v) && { set(v); }
  STANDIN_INLINE void operator+=(const Value& v) && { set(get() + v); }

 private:
  STANDIN_INLINE Value get() const {
    global_access(block_, p_, sizeof(T), Access::read, where_);
    return *p_;
  }
  STANDIN_INLINE void set(const Value& v) const {
    global_access(block_, p_, sizeof(T), Access::write, where_);
    *p_ = v;
  }
  const Allocation* block_;
  T* p_;
  Where where_;
};

/// A pointer into device memory, made by global().
template <class T>
struct Global {
  const Allocation* block = nullptr;
  T* p = nullptr;  // as kernels see it

  STANDIN_INLINE GlobalElement<T> operator[](At at) const { return {block, p + at.i, at.where}; }
  template <std::integral I>
  STANDIN_INLINE Global operator+(I i) const {
    return {block, p + i};
  }
  STANDIN_INLINE explicit operator bool() const { return p != nullptr; }
};

template <class T>
STANDIN_INLINE Global<T> global(T* p) {
  return p ? Global<T>{allocation_of(p), kernel_view(p)} : Global<T>{};
}

template <class T>
class SharedElement {
 public:
  STANDIN_INLINE SharedElement(T* p, Where where) : p_(p), where_(where) {}

  STANDIN_INLINE operator T() && { return get(); }
  STANDIN_INLINE void operator=(const T& v) && { set(v); }
  STANDIN_INLINE void operator+=(const T& v) && { set(get() + v); }

 private:
  STANDIN_INLINE T get() const {
    shared_access(p_, sizeof(T), Access::read, where_);
    return *p_;
  }
  STANDIN_INLINE void set(const T& v) const {
    shared_access(p_, sizeof(T), Access::write, where_);
    *p_ = v;
  }
  T* p_;
  Where where_;
};

/// A pointer into shared memory: SharedArray::at().
template <class T>
struct SharedPointer {
  T* p;
  STANDIN_INLINE SharedElement<T> operator[](At at) const { return {p + at.i, at.where}; }
  template <std::integral I>
  STANDIN_INLINE SharedPointer operator+(I i) const {
    return {p + i};
  }
};

/// An array in shared memory, a member of the struct that block_shared() returns.
template <class T, int N>
class alignas(16) SharedArray {
 public:
  STANDIN_INLINE SharedElement<T> operator[](At at) { return {elements_ + inside(at), at.where}; }
  STANDIN_INLINE SharedPointer<T> at(At at) { return {elements_ + inside(at)}; }

 private:
  STANDIN_INLINE int64_t inside(const At& at) const {
    if (at.i < 0 || at.i >= N)
      kernel_error(at.where, "shared memory: element %lld of an array of %d", static_cast<long long>(at.i),
                   N);
    return at.i;
  }
  T elements_[N];
};

/// The block's shared memory as the struct that the launch was given.
template <class Shared>
STANDIN_INLINE Shared& block_shared(Where where = Where::here()) {
  if (sizeof(Shared) > this_block().shared_bytes)
    kernel_error(where, "the kernel uses %zu bytes of shared memory, the launch gave %zu", sizeof(Shared),
                 this_block().shared_bytes);
  return *reinterpret_cast<Shared*>(this_block().shared);
}

/// One access of sizeof(P) bytes, aligned to as many.
template <class P, class T>
STANDIN_INLINE P load_pack(Global<T> from, Where where = Where::here()) {
  global_access(from.block, from.p, sizeof(P), Access::read, where);
  P pack;
  std::memcpy(&pack, from.p, sizeof(P));
  return pack;
}
template <class P, class T>
STANDIN_INLINE void store_pack(Global<T> to, const P& pack, Where where = Where::here()) {
  global_access(to.block, to.p, sizeof(P), Access::write, where);
  std::memcpy(to.p, &pack, sizeof(P));
}
template <class P, class T>
STANDIN_INLINE P load_pack(SharedPointer<T> from, Where where = Where::here()) {
  shared_access(from.p, sizeof(P), Access::read, where);
  P pack;
  std::memcpy(&pack, from.p, sizeof(P));
  return pack;
}
template <class P, class T>
STANDIN_INLINE void store_pack(SharedPointer<T> to, const P& pack, Where where = Where::here()) {
  shared_access(to.p, sizeof(P), Access::write, where);
  std::memcpy(to.p, &pack, sizeof(P));
}

}  // namespace engine::standin
