// Arrays that live twice, in host memory and on the stand-in, so that a kernel can be run on both and
// compared.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/philox.h"
#include "engine/core/dtype.h"
#include "engine/cuda/host/device_memory.h"
#include "engine/cuda/host/settings.h"
#include "engine/cuda/host/stream.h"

namespace engine {

class Twin {
 public:
  /// n elements; NaN (or -1) until they are drawn.
  Twin(DType dtype, int64_t n)
      : dtype_(dtype),
        n_(n),
        host_(size_t(n * size_of(dtype)), char(0xff)),
        device_(standin::device_allocate(host_.size())) {}
  ~Twin() { standin::current_stream().release(device_); }
  Twin(const Twin&) = delete;
  Twin& operator=(const Twin&) = delete;

  void* on(bool device) { return device ? device_ : host_.data(); }
  template <class T>
  T* on(bool device) {
    return static_cast<T*>(on(device));
  }
  double value(int64_t i) const { return element(dtype_, host_.data(), i); }

  template <class F>
  Twin& fill(F&& f) {
    for (int64_t i = 0; i < n_; ++i) {
      const double v = f(i);
      if (dtype_ == DType::i32)
        reinterpret_cast<int32_t*>(host_.data())[i] = int32_t(v);
      else if (dtype_ == DType::u8)
        host_[size_t(i)] = char(v);
      else
        visit_float(dtype_, [&](auto t) {
          reinterpret_cast<decltype(t)*>(host_.data())[i] = narrow<decltype(t)>(v);
        });
    }
    standin::current_stream().copy(device_, host_.data(), host_.size());
    standin::current_stream().synchronize();
    return *this;
  }
  Twin& normal(uint64_t seed = 1, double scale = 1, double shift = 0) {
    Rng rng{seed};
    return fill([&](int64_t) { return shift + scale * rng.normal(); });
  }

  /// ||device - host|| / ||host||; infinite where one is not a number and the other is.
  double difference() const { return difference_as(dtype_, n_, n_); }
  /// The same of bytes that hold another dtype: the first `columns` elements of rows that are `stride` apart.
  double difference_as(DType dtype, int64_t stride, int64_t columns) const {
    std::vector<char> device(host_.size());
    standin::current_stream().copy(device.data(), device_, device.size());
    standin::current_stream().synchronize();
    double error = 0, size = 0;
    for (int64_t i = 0; i < int64_t(host_.size()) / size_of(dtype); ++i) {
      if (i % stride >= columns) continue;
      const double a = element(dtype, device.data(), i), b = element(dtype, host_.data(), i);
      if (std::isnan(a) != std::isnan(b)) return INFINITY;
      if (std::isnan(b)) continue;
      if (a != b) error += (a - b) * (a - b);
      size += b * b;
    }
    return std::sqrt(error / std::max(size, 1e-30));
  }

 private:
  static double element(DType dtype, const char* p, int64_t i) {
    if (dtype == DType::i32) return reinterpret_cast<const int32_t*>(p)[i];
    if (dtype == DType::u8) return reinterpret_cast<const uint8_t*>(p)[i];
    return visit_float(dtype,
                       [&](auto t) { return double(widen(reinterpret_cast<const decltype(t)*>(p)[i])); });
  }

  DType dtype_;
  int64_t n_;
  std::vector<char> host_;
  void* device_;
};

/// Runs kernel(arguments) on both: `arguments` makes the struct from a function that says where a twin lies.
template <class Arguments, class Args>
void on_both(void (*cpu)(const Args&), void (*gpu)(const Args&), Arguments&& arguments) {
  const auto on = [&](bool device) { return [device](Twin& t) { return t.on(device); }; };
  cpu(arguments(on(false)));
  gpu(arguments(on(true)));
  standin::current_stream().synchronize();
}

/// A relative error that rounding alone explains, for results of this dtype.
inline double rounding_of(DType dtype) {
  switch (dtype) {
    case DType::f64: return 1e-13;
    case DType::bf16: return 3e-3;
    case DType::f16: return 4e-4;
    default: return 1e-6;
  }
}

constexpr DType kFloats[] = {DType::f64, DType::f32, DType::bf16, DType::f16};

}  // namespace engine
