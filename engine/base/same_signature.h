// Two function types that are called alike: of functions that are declared here and found at run time, and
// the vendor's own headers where they are (engine/cuda/real/vendor_check.cc, engine/comm/nccl_check.cc).
#pragma once

#include <type_traits>

namespace engine {

namespace detail {
// Passed alike: both pointers, or both numbers (an enumeration is one) of one size.
template <class A, class B>
constexpr bool alike = sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B>;
}  // namespace detail

/// Has F, of our declarations, what the vendor's G has: as many arguments, each passed alike.
template <class F, class G>
struct SameSignature : std::false_type {};
template <class R, class... A, class S, class... B>
requires(sizeof...(A) == sizeof...(B)) struct SameSignature<R (*)(A...), S (*)(B...)>
    : std::bool_constant<detail::alike<R, S> && (detail::alike<A, B> && ...)> {
};

}  // namespace engine
