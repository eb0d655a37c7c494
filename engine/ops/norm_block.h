// The norms on one block of a row that lies in the cache: statistics, forward, backward with its formulas.
// Read first: norm_kernels.h, engine/cpu/row.h. Included by norm_cpu.cc only.
//
// Two types run through the templates: C, in which rows lie in the cache and parameters in memory, and W, in
// which a row's statistics are formed and kept, and its gradient is formed. W is double where x or y is f32:
// an error of the statistics reaches a whole row, to the same side, and sums over dx often nearly cancel (dx
// is orthogonal to xhat; the gradient of one learned number), so every rounding shows. Where both are stored
// in 16 bits none of it does: there W is float (norm_statistics).
#pragma once

#include "engine/cpu/row.h"
#include "engine/cpu/stream.h"
#include "engine/cpu/tanh.h"
#include "engine/ops/norm_kernels.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

using simd::padd, simd::pmadd, simd::pmul, simd::psub, simd::pset1, simd::ploadu, simd::pstoreu;

// f64 takes the C library's.
template <class C, class L>
ENGINE_INLINE L tanh_of(const L& x) {
  if constexpr (sizeof(L) == sizeof(C)) {
    return std::tanh(x);
  } else if constexpr (sizeof(C) == sizeof(double)) {
    C lanes[sizeof(L) / sizeof(C)];
    pstoreu(lanes, x);
    for (C& lane : lanes) lane = std::tanh(lane);
    return ploadu<L>(lanes);
  } else {
    return accurate_tanh(x);
  }
}

template <class L>
struct TanhAndSlope {
  L value, slope;  // t, 1 - t^2
};

// Of doubles, far more exact than f32 rows need: with q = 2 / (exp(2|x|) + 1), |t| = 1 - q and the slope
// 4 e / (1 + e)^2 = q (2 - q), which keeps its digits where t is nearly 1. Near 0, |t| = |x| - |x|^3 / 3.
// Rows of f64 take the C library's tanh.
template <class C, class L>
ENGINE_INLINE TanhAndSlope<L> wide_tanh(const L& x) {
  if constexpr (std::is_same_v<L, double>) {
    const double e = std::exp(-2 * std::fabs(x)), s = 1 / (1 + e);
    return {std::tanh(x), 4 * e * s * s};
  } else {
    const auto c = [](double value) __attribute__((always_inline)) { return pset1<L>(value); };
    const L a = simd::pmin<L>(simd::pabs(x), c(300)), number = simd::pcmp_eq(x, x);
    const L q = simd::pdiv(c(2), padd(simd::pexp<L>(padd(a, a)), c(1)));
    const L slope = simd::pselect(number, pmul(q, psub(c(2), q)), x);  // NaN stays NaN
    if constexpr (sizeof(C) == sizeof(double)) return {tanh_of<double>(x), slope};
    const L near = psub(a, pmul(pmul(a, pmul(a, a)), c(1.0 / 3)));
    const L size = simd::pselect(simd::pcmp_lt(a, c(1e-4)), near, psub(c(1), q));
    const L signed_size = simd::pselect(simd::pcmp_lt(x, c(0)), psub(c(0), size), size);
    return {simd::pselect(number, signed_size, x), slope};
  }
}

// gain = weight + gain_offset (the sum is rounded to C), in `buffer` when that is not the weight itself.
template <class C, class W = C>
const W* gain_of(const void* weight, double gain_offset, int64_t n, W* buffer) {
  const auto* w = static_cast<const C*>(weight);
  if constexpr (std::is_same_v<C, W>)
    if (gain_offset == 0) return w;
  out(buffer, n) = (in(w, n) + C(gain_offset)).template cast<W>();
  return buffer;
}

// A block's elements kRowsAhead rows further on (stream.h).
struct RowAhead {
  const char* block;
  int64_t size;
  RowAhead(const void* p, DType dtype, int64_t row, int64_t stride, int64_t column)
      : block(static_cast<const char*>(p) + ((row + kRowsAhead) * stride + column) * size_of(dtype)),
        size(size_of(dtype)) {}
  ENGINE_INLINE void prefetch(int64_t i) const { cpu::ENGINE_ISA::prefetch(block + i * size); }
};

template <class W>
struct Statistics {
  W mean, rstd;
};

template <class W, class C>
ENGINE_INLINE Statistics<W> statistics(NormKind kind, const C* x, int64_t n, double eps,
                                       const RowAhead& ahead) {
  W mean = 0;
  if (kind == NormKind::ln)
    mean =
        W(sum_of<W>(n, [=](auto lane, int64_t i) { return load_wide<decltype(lane)>(x + i); }) / double(n));
  const bool in_cache = kind == NormKind::ln || ahead.size == 2;  // read before, or widened
  const double squares = sum_of<W>(n, [=](auto lane, int64_t i) {
    using L = decltype(lane);
    if (in_cache) ahead.prefetch(i);
    const L d = psub(load_wide<L>(x + i), pset1<L>(mean));
    return L(pmul(d, d));
  });
  const double size = kind == NormKind::l2 ? squares : squares / double(n);
  return {mean, W(1 / std::sqrt(size + eps))};
}

// y = (x - mean) rstd gain + bias, or tanh(alpha x) gain + bias. In lanes of C, or where there is little of
// it (kWideNorm) in lanes of W.
template <class W, class C>
ENGINE_INLINE void block_forward(const NormForward& a, const C* x, const C* gain, int64_t block,
                                 const RowAhead& ahead, C* y, Delivery how) {
  const auto* bias = static_cast<const C*>(a.bias);
  const auto finish = [&](auto xhat, int64_t i) {
    using L = decltype(xhat);
    const L g = load_wide<L>(gain + i);
    const L result = bias ? pmadd(xhat, g, load_wide<L>(bias + i)) : pmul(xhat, g);
    if constexpr (std::is_same_v<typename simd::unpacket_traits<L>::type, C>)
      deliver_as(y + i, result, how);
    else
      store_narrow(y + i, result);
  };
  constexpr bool has_wide = !std::is_same_v<W, C>;
  if (a.kind == NormKind::dyt) {
    const C alpha = *static_cast<const C*>(a.alpha);
    if constexpr (has_wide)
      if (a.wide)
        return each_packet<W>(a.n, [&](auto lane, int64_t i) {
          using L = decltype(lane);
          finish(wide_tanh<C>(pmul(load_wide<L>(x + i), pset1<L>(W(alpha)))).value, i);
        });
    return each_packet<C>(a.n, [&](auto lane, int64_t i) {
      using L = decltype(lane);
      finish(tanh_of<C>(pmul(ploadu<L>(x + i), pset1<L>(alpha))), i);
    });
  }
  const Statistics<W> s = statistics<W>(a.kind, x, a.n, a.eps, ahead);
  if (a.mean) static_cast<W*>(a.mean)[block] = s.mean;
  if (a.rstd) static_cast<W*>(a.rstd)[block] = s.rstd;
  if constexpr (has_wide)
    if (a.wide)
      return each_packet<W>(a.n, [&](auto lane, int64_t i) {
        using L = decltype(lane);
        finish(pmul(psub(load_wide<L>(x + i), pset1<L>(s.mean)), pset1<L>(s.rstd)), i);
      });
  // xhat = d r + (d r_rest + mean_rest), d = x - mean: statistics of W in arithmetic of C
  const C mean = C(s.mean), r = C(s.rstd), r_rest = C(s.rstd - W(r)),
          mean_rest = C((W(mean) - s.mean) * s.rstd);
  each_packet<C>(a.n, [&](auto lane, int64_t i) {
    using L = decltype(lane);
    const L d = psub(ploadu<L>(x + i), pset1<L>(mean));
    if constexpr (has_wide)
      finish(pmadd(d, pset1<L>(r), pmadd(d, pset1<L>(r_rest), pset1<L>(mean_rest))), i);
    else
      finish(pmul(d, pset1<L>(r)), i);
  });
}

// With g = dy gain:
//   ln        dx = r (g - mean(g) - xhat mean(g xhat))        rms, l2: without mean(g); l2: sum for mean
//   dyt       dx = alpha g (1 - t^2), t = tanh(alpha x),      dalpha = sum of g (1 - t^2) x
//   dweight = sum of dy xhat (dyt: dy t), dbias = sum of dy
template <class C, class W>
ENGINE_INLINE void block_backward(const NormBackward& a, const C* x, const C* dy, const W* gain,
                                  int64_t block, const RowAhead& x_ahead, const RowAhead& dy_ahead,
                                  C* dweight, C* dbias, double& dalpha, C* dx) {
  const auto add_to = [](C * sum, auto value, int64_t i) __attribute__((always_inline)) {
    store_narrow(sum + i, padd(load_wide<decltype(value)>(sum + i), value));
  };
  if (a.kind == NormKind::dyt) {
    const double alpha = double(*static_cast<const C*>(a.alpha));
    PacketSum<double> alpha_sum;
    each_packet<double>(a.n, [&](auto lane, int64_t i) {
      using L = decltype(lane);
      const L xi = load_wide<L>(x + i), d = load_wide<L>(dy + i);
      const TanhAndSlope<L> t = wide_tanh<C>(pmul(xi, pset1<L>(alpha)));
      const L g = pmul(pmul(d, load_wide<L>(gain + i)), t.slope);
      if (dweight) add_to(dweight, pmul(d, t.value), i);
      if (dbias) add_to(dbias, d, i);
      alpha_sum.add(pmul(g, xi));
      if (dx) store_narrow(dx + i, pmul(g, pset1<L>(alpha)));
    });
    dalpha += alpha_sum.total();
    return;
  }
  const W mean = a.kind == NormKind::ln ? static_cast<const W*>(a.mean)[block] : W(0),
          r = static_cast<const W*>(a.rstd)[block];
  const auto xhat_at = [&](auto lane, int64_t i) __attribute__((always_inline)) {
    using L = decltype(lane);
    using E = typename simd::unpacket_traits<L>::type;
    return pmul(psub(load_wide<L>(x + i), pset1<L>(E(mean))), pset1<L>(E(r)));
  };
  if (dweight || dbias)
    each_packet<C>(a.n, [&](auto lane, int64_t i) {
      const auto d = ploadu<decltype(lane)>(dy + i);
      if (dweight) add_to(dweight, pmul(d, xhat_at(lane, i)), i);
      if (dbias) add_to(dbias, d, i);
    });
  if (!dx) return;
  PacketSum<W> g_sum[4], gx_sum[4];
  each_packet_by_four<W>(a.n, [&](auto lane, int64_t i, int k) {
    using L = decltype(lane);
    const L g = pmul(load_wide<L>(dy + i), ploadu<L>(gain + i));
    g_sum[k].add(g);
    gx_sum[k].add(pmul(g, xhat_at(lane, i)));
  });
  const double size = a.kind == NormKind::l2 ? 1 : double(a.n), gx_mean = total_of(gx_sum) / size,
               g_mean = a.kind == NormKind::ln ? total_of(g_sum) / size : 0;
  // dx = (r gain) dy + slope x + offset
  const double wide_r = double(r), slope = -wide_r * wide_r * gx_mean,
               offset = -wide_r * g_mean - slope * double(mean);
  each_packet<W>(a.n, [&](auto lane, int64_t i) {
    using L = decltype(lane);
    x_ahead.prefetch(i), dy_ahead.prefetch(i);
    const L shift = pmadd(load_wide<L>(x + i), pset1<L>(W(slope)), pset1<L>(W(offset)));
    const L scale = pmul(ploadu<L>(gain + i), pset1<L>(W(r)));
    store_narrow(dx + i, pmadd(load_wide<L>(dy + i), scale, shift));
  });
}

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA
