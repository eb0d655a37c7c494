// tanh of f32 packets to about one unit in the last place (Eigen's fast tanh is off by up to five, always to
// the same side in wide ranges, which shows in sums that nearly cancel). Included by kernel files only.
//
//   |x| < 0.625   x + x^3 P(x^2), P of degree 4 (S. Moshier's Cephes library, tanhf)
//   else          sign(x) (1 - 2 / (exp(2|x|) + 1))
#pragma once

#include "engine/cpu/chunk.h"

namespace engine::cpu::ENGINE_ISA {

template <class P>
ENGINE_INLINE P accurate_tanh(const P& x) {
  namespace packet = Eigen::internal;
  const auto c = [](float value) __attribute__((always_inline)) { return packet::pset1<P>(value); };
  const P a = packet::pmin<P>(packet::pabs(x), c(15)), z = packet::pmul(a, a);
  P p = c(-5.70498872745e-3f);
  for (const float next : {2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f})
    p = packet::pmadd(p, z, c(next));
  const P near = packet::pmadd(packet::pmul(p, z), a, a);
  const P e = packet::pexp<P>(packet::padd(a, a));
  const P far = packet::psub(c(1), packet::pdiv(c(2), packet::padd(e, c(1))));
  const P size = packet::pselect(packet::pcmp_lt(a, c(0.625f)), near, far);
  const P result = packet::por(size, packet::pand(x, packet::pset1frombits<P>(0x80000000u)));
  return packet::pselect(packet::pcmp_eq(x, x), result, x);  // NaN stays NaN
}

}  // namespace engine::cpu::ENGINE_ISA
