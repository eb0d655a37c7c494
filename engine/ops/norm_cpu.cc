// Read first: norm_kernels.h, engine/cpu/row.h. Every kernel is a loop over rows; a row is read from memory
// once, normalised, joined or differentiated while it is in the L1 cache, and written once.
#include "engine/cpu/dropout.h"
#include "engine/cpu/row.h"
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

// gain = weight + gain_offset, in `buffer` when that is not the weight itself.
template <class C>
const C* gain_of(const void* weight, double gain_offset, int64_t n, C* buffer) {
  const auto* w = static_cast<const C*>(weight);
  if (gain_offset == 0) return w;
  out(buffer, n) = in(w, n) + C(gain_offset);
  return buffer;
}

// ------------------------------------------------------------------------------------------------- one block

template <class C>
struct Statistics {
  C mean, rstd;
};

// The variance is that of x - mean, corrected for the rounding of the mean, so that rows far from zero keep
// their digits.
template <class C>
ENGINE_INLINE Statistics<C> statistics(NormKind kind, const C* x, int64_t n, double eps) {
  if (kind == NormKind::ln) {
    PacketSum<C> sum[4];
    each_packet_by_four<C>(n,
                           [&](auto lane, int64_t i, int k) { sum[k].add(ploadu<decltype(lane)>(x + i)); });
    const C first = total_of(sum) / C(n);
    PacketSum<C> rest[4], squares[4];
    each_packet_by_four<C>(n, [&](auto lane, int64_t i, int k) {
      using L = decltype(lane);
      const L d = psub(ploadu<L>(x + i), pset1<L>(first));
      rest[k].add(d);
      squares[k].add(pmul(d, d));
    });
    const C off = total_of(rest) / C(n), variance = total_of(squares) / C(n) - off * off;
    return {first + off, C(1) / std::sqrt(variance + C(eps))};
  }
  PacketSum<C> sums[4];
  each_packet_by_four<C>(n, [&](auto lane, int64_t i, int k) {
    const auto v = ploadu<decltype(lane)>(x + i);
    sums[k].add(pmul(v, v));
  });
  const C squares = total_of(sums);
  const C size = kind == NormKind::l2 ? squares : squares / C(n);
  return {C(0), C(1) / std::sqrt(size + C(eps))};
}

// y = (x - mean) rstd gain + bias, or tanh(alpha x) gain + bias.
template <class C>
ENGINE_INLINE void block_forward(const NormForward& a, const C* x, const C* gain, int64_t block, C* y) {
  const auto* bias = static_cast<const C*>(a.bias);
  const auto finish = [&](auto xhat, int64_t i) {
    using L = decltype(xhat);
    const L g = ploadu<L>(gain + i);
    pstoreu(y + i, bias ? pmadd(xhat, g, ploadu<L>(bias + i)) : pmul(xhat, g));
  };
  if (a.kind == NormKind::dyt) {
    const C alpha = *static_cast<const C*>(a.alpha);
    each_packet<C>(a.n, [&](auto lane, int64_t i) {
      using L = decltype(lane);
      finish(tanh_of<C>(pmul(ploadu<L>(x + i), pset1<L>(alpha))), i);
    });
    return;
  }
  const Statistics<C> s = statistics(a.kind, x, a.n, a.eps);
  if (a.mean) static_cast<C*>(a.mean)[block] = s.mean;
  if (a.rstd) static_cast<C*>(a.rstd)[block] = s.rstd;
  each_packet<C>(a.n, [&](auto lane, int64_t i) {
    using L = decltype(lane);
    finish(pmul(psub(ploadu<L>(x + i), pset1<L>(s.mean)), pset1<L>(s.rstd)), i);
  });
}

// With g = dy gain:
//   ln        dx = r (g - mean(g) - xhat mean(g xhat))        rms, l2: without mean(g); l2: sum for mean
//   dyt       dx = alpha g (1 - t^2), t = tanh(alpha x),      dalpha = sum of g (1 - t^2) x
//   dweight = sum of dy xhat (dyt: dy t), dbias = sum of dy
template <class C>
ENGINE_INLINE void block_backward(const NormBackward& a, const C* x, const C* dy, const C* gain,
                                  int64_t block, C* dweight, C* dbias, C* dalpha, C* dx) {
  const auto add_to = [](C* sum, auto value, int64_t i) {
    pstoreu(sum + i, padd(ploadu<decltype(value)>(sum + i), value));
  };
  if (a.kind == NormKind::dyt) {
    const C alpha = *static_cast<const C*>(a.alpha);
    PacketSum<C> alpha_sum;
    each_packet<C>(a.n, [&](auto lane, int64_t i) {
      using L = decltype(lane);
      const L xi = ploadu<L>(x + i), d = ploadu<L>(dy + i), t = tanh_of<C>(pmul(xi, pset1<L>(alpha)));
      const L g = pmul(pmul(d, ploadu<L>(gain + i)), psub(pset1<L>(C(1)), pmul(t, t)));
      if (dweight) add_to(dweight, pmul(d, t), i);
      if (dbias) add_to(dbias, d, i);
      alpha_sum.add(pmul(g, xi));
      if (dx) pstoreu(dx + i, pmul(g, pset1<L>(alpha)));
    });
    if (dalpha) *dalpha += alpha_sum.total();
    return;
  }
  const C mean = a.kind == NormKind::ln ? static_cast<const C*>(a.mean)[block] : C(0),
          r = static_cast<const C*>(a.rstd)[block];
  PacketSum<C> g_sum, gx_sum;
  each_packet<C>(a.n, [&](auto lane, int64_t i) {
    using L = decltype(lane);
    const L xhat = pmul(psub(ploadu<L>(x + i), pset1<L>(mean)), pset1<L>(r)), d = ploadu<L>(dy + i);
    const L g = pmul(d, ploadu<L>(gain + i));
    g_sum.add(g);
    gx_sum.add(pmul(g, xhat));
    if (dweight) add_to(dweight, pmul(d, xhat), i);
    if (dbias) add_to(dbias, d, i);
  });
  if (!dx) return;
  const C g_mean = a.kind == NormKind::ln ? g_sum.total() / C(a.n) : C(0),
          gx_mean = a.kind == NormKind::l2 ? gx_sum.total() : gx_sum.total() / C(a.n);
  each_packet<C>(a.n, [&](auto lane, int64_t i) {
    using L = decltype(lane);
    const L xhat = pmul(psub(ploadu<L>(x + i), pset1<L>(mean)), pset1<L>(r));
    const L g = psub(pmul(ploadu<L>(dy + i), ploadu<L>(gain + i)), pset1<L>(g_mean));
    pstoreu(dx + i, pmul(pset1<L>(r), psub(g, pmul(xhat, pset1<L>(gx_mean)))));
  });
}

// ------------------------------------------------------------------------------------------------- one row

// A factor inside a packet loop: a vector's elements, or one number.
template <class C>
struct Factor {
  const C* vector;
  C value;
  explicit Factor(const JoinFactor& f)
      : vector(f.learned && f.vector ? static_cast<const C*>(f.learned) : nullptr),
        value(f.learned && !f.vector ? *static_cast<const C*>(f.learned) : C(f.value)) {}
  template <class L>
  ENGINE_INLINE L at(L, int64_t i) const {
    return vector ? ploadu<L>(vector + i) : pset1<L>(value);
  }
};

// The mask of one row, or null without dropout.
template <class C>
ENGINE_INLINE const C* mask_row(const JoinDropout& dropout, int64_t row, int64_t width, C* buffer) {
  if (dropout.p == 0) return nullptr;
  dropout_factors(dropout.seed, dropout.offset, row * width, width, dropout.p, buffer);
  return buffer;
}

// Buffers for the rows of one task, one after the other in scratch memory.
template <class C>
struct RowBuffers {
  C* base;
  int64_t width;
  RowBuffers(int count, int64_t w) : width((w + 15) / 16 * 16) { base = scratch<C>(count * width); }
  C* operator[](int i) const { return base + i * width; }
};

// joined = res stream + branch m o. Returns the row as later readers see it, rounded to the stream's dtype.
template <class C>
ENGINE_INLINE const C* join_row(const JoinForward& a, int64_t row, const RowBuffers<C>& b) {
  const C* stream = load_row(a.stream, a.stream_dtype, row * a.stream_stride, a.width, b[0]);
  const C* o = load_row(a.o, a.o_dtype, row * a.o_stride, a.width, b[1]);
  const C* mask = mask_row(a.dropout, row, a.width, b[2]);
  C* joined = row_target(a.joined, a.stream_dtype, row * a.width, false, b[0]);
  const Factor<C> res(a.res), branch(a.branch);
  each_packet<C>(a.width, [&](auto lane, int64_t i) {
    using L = decltype(lane);
    L v = ploadu<L>(o + i);
    if (mask) v = pmul(v, ploadu<L>(mask + i));
    pstoreu(joined + i, pmadd(res.at(lane, i), ploadu<L>(stream + i), pmul(branch.at(lane, i), v)));
  });
  store_row(a.joined, a.stream_dtype, row * a.width, joined, a.width, false);
  return load_row(a.joined, a.stream_dtype, row * a.width, a.width, b[0]);
}

template <class C>
ENGINE_INLINE void norm_row(const NormForward& a, int64_t row, const C* x, const C* gain, C* buffer) {
  const int64_t width = a.groups * a.n;
  C* y = row_target(a.y, a.y_dtype, row * width, false, buffer);
  for (int64_t group = 0; group < a.groups; ++group)
    block_forward(a, x + group * a.n, gain, row * a.groups + group, y + group * a.n);
  store_row(a.y, a.y_dtype, row * width, y, width, false);
}

template <class C>
ENGINE_INLINE void norm_row_backward(const NormBackward& a, int64_t row, const C* gain, C* x_buffer,
                                     C* dy_buffer, C* dx) {
  const int64_t width = a.groups * a.n, chunk = row / kNormRows * a.partial_stride;
  const C* x = load_row(a.x, a.x_dtype, row * a.x_stride, width, x_buffer);
  const C* dy = load_row(a.dy, a.y_dtype, row * width, width, dy_buffer);
  const auto section = [&](void* p) { return p ? static_cast<C*>(p) + chunk : nullptr; };
  for (int64_t group = 0; group < a.groups; ++group) {
    const int64_t i = group * a.n;
    block_backward(a, x + i, dy + i, gain, row * a.groups + group, section(a.dweight), section(a.dbias),
                   section(a.dalpha), dx ? dx + i : nullptr);
  }
}

// With v = dnorm + djoined:
//   dstream = res v        do = branch m v        dres = sum of v stream        dbranch = sum of v m o
template <class C>
ENGINE_INLINE void join_row_backward(const JoinBackward& a, int64_t row, const C* dnorm,
                                     const RowBuffers<C>& b) {
  const int64_t chunk = row / kNormRows * a.partial_stride;
  const C* djoined = a.djoined ? load_row(a.djoined, a.stream_dtype, row * a.width, a.width, b[0]) : nullptr;
  const C* mask = mask_row(a.dropout, row, a.width, b[1]);
  const C* stream =
      a.dres ? load_row(a.stream, a.stream_dtype, row * a.stream_stride, a.width, b[2]) : nullptr;
  const C* o = a.dbranch ? load_row(a.o, a.o_dtype, row * a.o_stride, a.width, b[3]) : nullptr;
  C* dstream = a.dstream
                   ? row_target(a.dstream, a.stream_dtype, row * a.dstream_stride, a.accumulate_dstream, b[4])
                   : nullptr;
  C* d_o = a.d_o ? row_target(a.d_o, a.o_dtype, row * a.do_stride, a.accumulate_do, b[5]) : nullptr;
  C* dres = a.dres ? static_cast<C*>(a.dres) + chunk : nullptr;
  C* dbranch = a.dbranch ? static_cast<C*>(a.dbranch) + chunk : nullptr;
  const Factor<C> res(a.res), branch(a.branch);
  PacketSum<C> res_sum, branch_sum;
  const auto reduce = [&](C* sums, bool vector, PacketSum<C>& sum, auto value, int64_t i) {
    if (vector)
      pstoreu(sums + i, padd(ploadu<decltype(value)>(sums + i), value));
    else
      sum.add(value);
  };
  each_packet<C>(a.width, [&](auto lane, int64_t i) {
    using L = decltype(lane);
    L v = dnorm ? ploadu<L>(dnorm + i) : pset1<L>(C(0));
    if (djoined) v = padd(v, ploadu<L>(djoined + i));
    if (dstream) pstoreu(dstream + i, pmul(res.at(lane, i), v));
    if (dres) reduce(dres, a.res.vector, res_sum, pmul(v, ploadu<L>(stream + i)), i);
    if (mask) v = pmul(v, ploadu<L>(mask + i));
    if (d_o) pstoreu(d_o + i, pmul(branch.at(lane, i), v));
    if (dbranch) reduce(dbranch, a.branch.vector, branch_sum, pmul(v, ploadu<L>(o + i)), i);
  });
  if (dres && !a.res.vector) *dres += res_sum.total();
  if (dbranch && !a.branch.vector) *dbranch += branch_sum.total();
  if (dstream)
    store_row(a.dstream, a.stream_dtype, row * a.dstream_stride, dstream, a.width, a.accumulate_dstream);
  if (d_o) store_row(a.d_o, a.o_dtype, row * a.do_stride, d_o, a.width, a.accumulate_do);
}

// ------------------------------------------------------------------------------------------------- all rows

ENGINE_INLINE int64_t forward_rows(int64_t width) { return width >= kGrain ? 1 : kGrain / width; }

// Calls f(row) for the rows of a chunk after clearing its partial sums.
template <class C>
ENGINE_INLINE void clear_section(void* p, int64_t chunk, int64_t stride, int64_t n) {
  if (p) out(static_cast<C*>(p) + chunk * stride, n).setZero();
}
template <class C>
ENGINE_INLINE void clear_sections(const NormBackward& a, int64_t chunk) {
  clear_section<C>(a.dweight, chunk, a.partial_stride, a.n);
  clear_section<C>(a.dbias, chunk, a.partial_stride, a.n);
  clear_section<C>(a.dalpha, chunk, a.partial_stride, 1);
}
template <class C>
ENGINE_INLINE void clear_sections(const JoinBackward& a, int64_t chunk) {
  clear_section<C>(a.dres, chunk, a.partial_stride, a.res.vector ? a.width : 1);
  clear_section<C>(a.dbranch, chunk, a.partial_stride, a.branch.vector ? a.width : 1);
}

template <class C>
void forward(const NormForward& a) {
  const int64_t width = a.groups * a.n;
  parallel_chunks(a.rows, forward_rows(width), [&](int64_t begin, int64_t end) {
    const RowBuffers<C> b(3, width);
    const C* gain = gain_of(a.weight, a.gain_offset, a.n, b[2]);
    for (int64_t row = begin; row < end; ++row)
      norm_row(a, row, load_row(a.x, a.x_dtype, row * a.x_stride, width, b[0]), gain, b[1]);
  });
}

template <class C>
void forward(const JoinForward& a) {
  parallel_chunks(a.rows, forward_rows(a.width), [&](int64_t begin, int64_t end) {
    const RowBuffers<C> b(3, a.width);
    for (int64_t row = begin; row < end; ++row) join_row(a, row, b);
  });
}

template <class C>
void forward(const JoinNormForward& a) {
  parallel_chunks(a.join.rows, forward_rows(a.join.width), [&](int64_t begin, int64_t end) {
    const RowBuffers<C> b(4, a.join.width);
    const C* gain = gain_of(a.norm.weight, a.norm.gain_offset, a.norm.n, b[3]);
    for (int64_t row = begin; row < end; ++row) norm_row(a.norm, row, join_row(a.join, row, b), gain, b[1]);
  });
}

template <class C>
void backward(const NormBackward& a) {
  const int64_t width = a.groups * a.n;
  parallel_chunks(a.rows, kNormRows, [&](int64_t begin, int64_t end) {
    const RowBuffers<C> b(4, width);
    const C* gain = gain_of(a.weight, a.gain_offset, a.n, b[3]);
    clear_sections<C>(a, begin / kNormRows);
    for (int64_t row = begin; row < end; ++row) {
      C* dx = a.dx ? row_target(a.dx, a.x_dtype, row * a.dx_stride, a.accumulate_dx, b[2]) : nullptr;
      norm_row_backward(a, row, gain, b[0], b[1], dx);
      if (dx) store_row(a.dx, a.x_dtype, row * a.dx_stride, dx, width, a.accumulate_dx);
    }
  });
}

template <class C>
void backward(const JoinBackward& a) {
  parallel_chunks(a.rows, kNormRows, [&](int64_t begin, int64_t end) {
    const RowBuffers<C> b(6, a.width);
    clear_sections<C>(a, begin / kNormRows);
    for (int64_t row = begin; row < end; ++row) join_row_backward<C>(a, row, nullptr, b);
  });
}

template <class C>
void backward(const JoinNormBackward& a) {
  parallel_chunks(a.join.rows, kNormRows, [&](int64_t begin, int64_t end) {
    const RowBuffers<C> b(8, a.join.width);
    C *gain_buffer = b[6], *dnorm = b[7];
    const C* gain = gain_of(a.norm.weight, a.norm.gain_offset, a.norm.n, gain_buffer);
    clear_sections<C>(a.norm, begin / kNormRows);
    clear_sections<C>(a.join, begin / kNormRows);
    for (int64_t row = begin; row < end; ++row) {
      norm_row_backward(a.norm, row, gain, b[0], b[1], dnorm);
      join_row_backward<C>(a.join, row, dnorm, b);
    }
  });
}

template <class C>
void add_partials(const SumPartials& a) {
  parallel_chunks(a.n, kChunk, [&](int64_t begin, int64_t end) {
    C sums[kChunk];
    out(sums, end - begin).setZero();
    for (int64_t chunk = 0; chunk < a.chunks; ++chunk)
      out(sums, end - begin) += in(static_cast<const C*>(a.partials) + chunk * a.stride + begin, end - begin);
    store_row(a.sum, a.dtype, begin, sums, end - begin, a.accumulate);
  });
}

}  // namespace

void norm_forward(const NormForward& a) { a.x_dtype == DType::f64 ? forward<double>(a) : forward<float>(a); }
void norm_backward(const NormBackward& a) {
  a.x_dtype == DType::f64 ? backward<double>(a) : backward<float>(a);
}
void join_forward(const JoinForward& a) {
  a.stream_dtype == DType::f64 ? forward<double>(a) : forward<float>(a);
}
void join_backward(const JoinBackward& a) {
  a.stream_dtype == DType::f64 ? backward<double>(a) : backward<float>(a);
}
void join_norm_forward(const JoinNormForward& a) {
  a.join.stream_dtype == DType::f64 ? forward<double>(a) : forward<float>(a);
}
void join_norm_backward(const JoinNormBackward& a) {
  a.join.stream_dtype == DType::f64 ? backward<double>(a) : backward<float>(a);
}
void sum_partials(const SumPartials& a) {
  a.partial_dtype == DType::f64 ? add_partials<double>(a) : add_partials<float>(a);
}

}  // namespace engine::cpu::ENGINE_ISA
