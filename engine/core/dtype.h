// Element types. f64 is for checking, f32 for computing, bf16 and f16 for storing; i32, i64, u8 hold ids and
// masks.
//
// bf16 and f16 are 16-bit storage: arithmetic happens in f32 after widening. visit_float() turns a run-time
// dtype into a compile-time type, once per kernel call.
#pragma once

#include <cstdint>
#include <cstring>
#include <ostream>
#include <string>
#include <type_traits>

#include "engine/base/check.h"
#include "engine/base/philox.h"  // ENGINE_INLINE

namespace engine {

enum class DType : uint8_t { f64, f32, bf16, f16, i32, i64, u8 };

/// Upper half of an f32: 8 exponent bits, 7 mantissa bits.
struct bf16 {
  uint16_t bits;
};
/// IEEE 754 binary16: 5 exponent bits, 10 mantissa bits; largest finite value 65504.
struct f16 {
  uint16_t bits;
};

ENGINE_INLINE float bits_to_float(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}
ENGINE_INLINE uint32_t float_to_bits(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits;
}

ENGINE_INLINE float widen(float x) { return x; }
ENGINE_INLINE double widen(double x) { return x; }
ENGINE_INLINE float widen(bf16 x) { return bits_to_float(uint32_t(x.bits) << 16); }
ENGINE_INLINE float widen(f16 x) {
  const uint32_t sign = uint32_t(x.bits & 0x8000u) << 16, rest = x.bits & 0x7fffu;
  if (rest >= 0x7c00u) return bits_to_float(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  // Subnormals, multiples of 2^-24, by way of an integer: as f32 bits they would be denormals (denormals.h).
  if (rest < 0x400u) return bits_to_float(sign | float_to_bits(float(rest) * 0x1p-24f));
  return bits_to_float(sign | ((rest << 13) + 0x38000000u));  // 112 more in the exponent
}

/// Rounds to nearest, ties to even; overflow gives infinity; NaN stays NaN.
template <class T>
ENGINE_INLINE T narrow(float x) {
  if constexpr (std::is_same_v<T, bf16>) {
    const uint32_t u = float_to_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return bf16{uint16_t((u >> 16) | 0x40u)};
    return bf16{uint16_t((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
  } else if constexpr (std::is_same_v<T, f16>) {
    const uint32_t u = float_to_bits(x), sign = (u >> 16) & 0x8000u, rest = u & 0x7fffffffu;
    if (rest > 0x7f800000u) return f16{uint16_t(sign | 0x7e00u)};
    if (rest >= 0x477ff000u) return f16{uint16_t(sign | 0x7c00u)};  // at least 65520
    if (rest < 0x38800000u) {                           // below 2^-14: f16 subnormals, multiples of 2^-24
      const float scaled = bits_to_float(rest) + 0.5f;  // adding 0.5 rounds at 2^-24
      return f16{uint16_t(sign | (float_to_bits(scaled) - 0x3f000000u))};
    }
    return f16{uint16_t(sign | ((rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1u)) >> 13))};
  } else {
    return T(x);
  }
}
template <class T>
ENGINE_INLINE T narrow(double x) {
  if constexpr (std::is_same_v<T, double>) return x;
  return narrow<T>(float(x));
}

/// What a kernel computes in: double for f64, float for everything stored in 32 or 16 bits.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;

constexpr int64_t size_of(DType dtype) {
  constexpr int64_t sizes[] = {8, 4, 2, 2, 4, 8, 1};
  return sizes[int(dtype)];
}
constexpr bool is_float(DType dtype) { return dtype <= DType::f16; }
/// The dtype of accumulators and parameter gradients that go with `dtype`: f64 for f64, else f32.
constexpr DType compute_dtype(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }
const char* name_of(DType dtype);
/// "f32" and so on; an Error that lists the names otherwise.
DType parse_dtype(const std::string& text);
inline std::ostream& operator<<(std::ostream& out, DType dtype) { return out << name_of(dtype); }

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, double>)
    return DType::f64;
  else if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, bf16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, f16>)
    return DType::f16;
  else if constexpr (std::is_same_v<T, int32_t>)
    return DType::i32;
  else if constexpr (std::is_same_v<T, int64_t>)
    return DType::i64;
  else {
    static_assert(std::is_same_v<T, uint8_t>, "not an element type");
    return DType::u8;
  }
}

/// Calls f(T{}) with the C++ type of a floating dtype. The caller has checked is_float().
template <class F>
ENGINE_INLINE decltype(auto) visit_float(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f64: return f(double{});
    case DType::bf16: return f(bf16{});
    case DType::f16: return f(f16{});
    default: return f(float{});
  }
}

}  // namespace engine
