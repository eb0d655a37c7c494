// Read first: norm_kernels.h, engine/cpu/row.h. Every kernel is a loop over rows; a row is read from memory
// once, normalised, joined or differentiated (norm_block.h) while it is in the L1 cache, and written once.
#include "engine/cpu/dropout.h"
#include "engine/ops/activation_chunk.h"
#include "engine/ops/norm_block.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

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

// h = act(x), and act'(x) into `slope` unless that is null.
template <class C>
ENGINE_INLINE void activate_row(Activation activation, const C* x, int64_t n, C* h, C* slope) {
  each_activation(activation, x, n, [&](int64_t i, int64_t m, const auto& value, const auto& derivative) {
    put(h + i, m, value);
    if (slope) put(slope + i, m, derivative);
  });
}

// The norm's input in row `row`; in `buffer` unless it lies in memory as it is.
template <class C>
ENGINE_INLINE const C* input_row(const NormForward& a, int64_t row, C* buffer) {
  const int64_t width = a.groups * a.n;
  const C* x = load_row(a.x, a.x_dtype, row * a.x_stride, width, buffer);
  if (a.activation == Activation::identity) return x;
  activate_row<C>(a.activation, x, width, buffer, nullptr);
  return buffer;
}

template <class W, class C>
ENGINE_INLINE void norm_row(const NormForward& a, int64_t row, const C* x, const C* gain, Delivery how,
                            C* buffer) {
  const int64_t width = a.groups * a.n;
  const bool in_place = a.y_dtype == dtype_of<C>();  // else rounded row by row
  C* y = row_target(a.y, a.y_dtype, row * width, false, buffer);
  for (int64_t group = 0; group < a.groups; ++group)
    block_forward<W>(a, x + group * a.n, gain, row * a.groups + group,
                     RowAhead(a.x, a.x_dtype, row, a.x_stride, group * a.n), y + group * a.n,
                     in_place ? how : Delivery::stored);
  if (!in_place) deliver_row(a.y, a.y_dtype, row * width, y, width, how);
}

// `slope` is a buffer that only an activation needs.
template <class C, class W>
ENGINE_INLINE void norm_row_backward(const NormBackward& a, int64_t row, const W* gain, C* x_buffer,
                                     C* dy_buffer, C* slope, C* dx, double& dalpha) {
  const int64_t width = a.groups * a.n, chunk = row / kNormRows * a.partial_stride;
  const C* x = load_row(a.x, a.x_dtype, row * a.x_stride, width, x_buffer);
  const C* dy = load_row(a.dy, a.y_dtype, row * width, width, dy_buffer);
  const bool activated = a.activation != Activation::identity;
  if (activated) {
    activate_row(a.activation, x, width, x_buffer, slope);
    x = x_buffer;
  }
  const auto section = [&](void* p) { return p ? static_cast<C*>(p) + chunk : nullptr; };
  for (int64_t group = 0; group < a.groups; ++group) {
    const int64_t i = group * a.n;
    block_backward(a, x + i, dy + i, gain, row * a.groups + group,
                   RowAhead(a.x, a.x_dtype, row, a.x_stride, i), RowAhead(a.dy, a.y_dtype, row, width, i),
                   section(a.dweight), section(a.dbias), dalpha, dx ? dx + i : nullptr);
  }
  if (activated && dx) out(dx, width) *= in(slope, width);
}

// The gradients of factors that are one number, over the rows of a chunk.
struct ScaleSums {
  double res = 0, branch = 0;
};

// With v = dnorm + djoined, rounded to C as the join's own backward gets it; dnorm is overwritten:
//   dstream = res v        do = branch m v        dres = sum of v stream        dbranch = sum of v m o
template <class C>
ENGINE_INLINE void join_row_backward(const JoinBackward& a, int64_t row, C* dnorm, const RowBuffers<C>& b,
                                     ScaleSums& scalars) {
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
  if (dnorm && djoined) out(dnorm, a.width) += in(djoined, a.width);
  const C* gradient = dnorm ? dnorm : djoined;
  if ((dres && !a.res.vector) || (dbranch && !a.branch.vector)) {
    PacketSum<double> res_sum, branch_sum;
    each_packet<double>(a.width, [&](auto lane, int64_t i) {
      using L = decltype(lane);
      L v = gradient ? load_wide<L>(gradient + i) : pset1<L>(0);
      if (dres) res_sum.add(pmul(v, load_wide<L>(stream + i)));
      if (mask) v = pmul(v, load_wide<L>(mask + i));
      if (dbranch) branch_sum.add(pmul(v, load_wide<L>(o + i)));
    });
    scalars.res += res_sum.total();
    scalars.branch += branch_sum.total();
  }
  const auto add_to = [](C* sums, auto value, int64_t i) {
    pstoreu(sums + i, padd(ploadu<decltype(value)>(sums + i), value));
  };
  each_packet<C>(a.width, [&](auto lane, int64_t i) {
    using L = decltype(lane);
    L v = gradient ? ploadu<L>(gradient + i) : pset1<L>(C(0));
    if (dstream) pstoreu(dstream + i, pmul(res.at(lane, i), v));
    if (dres && a.res.vector) add_to(dres, pmul(v, ploadu<L>(stream + i)), i);
    if (mask) v = pmul(v, ploadu<L>(mask + i));
    if (d_o) pstoreu(d_o + i, pmul(branch.at(lane, i), v));
    if (dbranch && a.branch.vector) add_to(dbranch, pmul(v, ploadu<L>(o + i)), i);
  });
  if (dstream)
    store_row(a.dstream, a.stream_dtype, row * a.dstream_stride, dstream, a.width, a.accumulate_dstream);
  if (d_o) store_row(a.d_o, a.o_dtype, row * a.do_stride, d_o, a.width, a.accumulate_do);
}

// ------------------------------------------------------------------------------------------------- all rows

ENGINE_INLINE int64_t forward_rows(int64_t width) { return width >= kGrain ? 1 : kGrain / width; }

template <class C>
ENGINE_INLINE void clear_section(void* p, int64_t chunk, int64_t stride, int64_t n) {
  if (p) out(static_cast<C*>(p) + chunk * stride, n).setZero();
}
template <class C>
ENGINE_INLINE void set_section(void* p, int64_t chunk, int64_t stride, double sum) {
  if (p) static_cast<C*>(p)[chunk * stride] = C(sum);
}
// Sums of vectors are added up in their section; those of single numbers in double, kept at the chunk's end.
template <class C>
ENGINE_INLINE void clear_sections(const NormBackward& a, int64_t chunk) {
  clear_section<C>(a.dweight, chunk, a.partial_stride, a.n);
  clear_section<C>(a.dbias, chunk, a.partial_stride, a.n);
}
template <class C>
ENGINE_INLINE void clear_sections(const JoinBackward& a, int64_t chunk) {
  if (a.res.vector) clear_section<C>(a.dres, chunk, a.partial_stride, a.width);
  if (a.branch.vector) clear_section<C>(a.dbranch, chunk, a.partial_stride, a.width);
}
template <class C>
ENGINE_INLINE void keep_sums(const JoinBackward& a, int64_t chunk, const ScaleSums& sums) {
  if (!a.res.vector) set_section<C>(a.dres, chunk, a.partial_stride, sums.res);
  if (!a.branch.vector) set_section<C>(a.dbranch, chunk, a.partial_stride, sums.branch);
}

// Where a norm's result goes. Packets begin at each block's first element where blocks are formed in place, and
// at each row's where a row is rounded (norm_row).
template <class C>
ENGINE_INLINE Delivery delivery_of(const NormForward& a) {
  if (a.y_dtype == dtype_of<C>()) return delivery(a.y, a.y_dtype, a.rows * a.groups, a.n, a.n, false);
  const int64_t width = a.groups * a.n;
  return delivery(a.y, a.y_dtype, a.rows, width, width, false);
}

template <class C, class W>
void forward(const NormForward& a) {
  const int64_t width = a.groups * a.n;
  const Delivery how = delivery_of<C>(a);
  parallel_chunks(a.rows, forward_rows(width), [&](int64_t begin, int64_t end) {
    const RowBuffers<C> b(3, width);
    const C* gain = gain_of<C>(a.weight, a.gain_offset, a.n, b[2]);
    for (int64_t row = begin; row < end; ++row) norm_row<W>(a, row, input_row(a, row, b[0]), gain, how, b[1]);
    end_of_stream(how);
  });
}

template <class C>
void forward(const JoinForward& a) {
  parallel_chunks(a.rows, forward_rows(a.width), [&](int64_t begin, int64_t end) {
    const RowBuffers<C> b(3, a.width);
    for (int64_t row = begin; row < end; ++row) join_row(a, row, b);
  });
}

template <class C, class W>
void forward(const JoinNormForward& a) {
  const Delivery how = delivery_of<C>(a.norm);
  parallel_chunks(a.join.rows, forward_rows(a.join.width), [&](int64_t begin, int64_t end) {
    const RowBuffers<C> b(4, a.join.width);
    const C* gain = gain_of<C>(a.norm.weight, a.norm.gain_offset, a.norm.n, b[3]);
    for (int64_t row = begin; row < end; ++row)
      norm_row<W>(a.norm, row, join_row(a.join, row, b), gain, how, b[1]);
    end_of_stream(how);
  });
}

// The gains in W, for all rows of a task.
template <class C, class W>
ENGINE_INLINE const W* wide_gain(const NormBackward& a) {
  return gain_of<C, W>(a.weight, a.gain_offset, a.n, scratch<W>(a.n, 1));
}

template <class C, class W>
void backward(const NormBackward& a) {
  const int64_t width = a.groups * a.n;
  const Delivery how =
      a.dx ? delivery(a.dx, a.x_dtype, a.rows, width, a.dx_stride, a.accumulate_dx) : Delivery::stored;
  parallel_chunks(a.rows, kNormRows, [&](int64_t begin, int64_t end) {
    const RowBuffers<C> b(4, width);
    const W* gain = wide_gain<C, W>(a);
    clear_sections<C>(a, begin / kNormRows);
    double dalpha = 0;
    for (int64_t row = begin; row < end; ++row) {
      C* dx = a.dx ? row_target(a.dx, a.x_dtype, row * a.dx_stride, how != Delivery::stored, b[2]) : nullptr;
      norm_row_backward(a, row, gain, b[0], b[1], b[3], dx, dalpha);
      if (dx) deliver_row(a.dx, a.x_dtype, row * a.dx_stride, dx, width, how);
    }
    set_section<C>(a.dalpha, begin / kNormRows, a.partial_stride, dalpha);
    end_of_stream(how);
  });
}

template <class C>
void backward(const JoinBackward& a) {
  parallel_chunks(a.rows, kNormRows, [&](int64_t begin, int64_t end) {
    const RowBuffers<C> b(6, a.width);
    clear_sections<C>(a, begin / kNormRows);
    ScaleSums scalars;
    for (int64_t row = begin; row < end; ++row) join_row_backward<C>(a, row, nullptr, b, scalars);
    keep_sums<C>(a, begin / kNormRows, scalars);
  });
}

template <class C, class W>
void backward(const JoinNormBackward& a) {
  parallel_chunks(a.join.rows, kNormRows, [&](int64_t begin, int64_t end) {
    const RowBuffers<C> b(7, a.join.width);
    C* dnorm = b[6];
    const W* gain = wide_gain<C, W>(a.norm);
    const int64_t chunk = begin / kNormRows;
    clear_sections<C>(a.norm, chunk);
    clear_sections<C>(a.join, chunk);
    double dalpha = 0;
    ScaleSums scalars;
    for (int64_t row = begin; row < end; ++row) {
      norm_row_backward<C, W>(a.norm, row, gain, b[0], b[1], nullptr, dnorm, dalpha);
      join_row_backward<C>(a.join, row, dnorm, b, scalars);
    }
    set_section<C>(a.norm.dalpha, chunk, a.norm.partial_stride, dalpha);
    keep_sums<C>(a.join, chunk, scalars);
  });
}

template <class C>
void add_partials(const SumPartials& a) {
  parallel_chunks(a.n, kChunk, [&](int64_t begin, int64_t end) {
    C sums[kChunk];
    double wide[kChunk];
    const int64_t n = end - begin;
    for (int64_t i = 0; i < n; ++i) wide[i] = 0;
    for (int64_t chunk = 0; chunk < a.chunks; ++chunk) {
      const C* partial = static_cast<const C*>(a.partials) + chunk * a.stride + begin;
      for (int64_t i = 0; i < n; ++i) wide[i] += double(partial[i]);
    }
    for (int64_t i = 0; i < n; ++i) sums[i] = C(wide[i]);
    store_row(a.sum, a.dtype, begin, sums, n, a.accumulate);
  });
}

// Calls f(C, W) for rows of these dtypes (norm_block.h).
template <class F>
ENGINE_INLINE void visit_types(DType x, DType y, F&& f) {
  if (x == DType::f64) return f(double(), double());
  norm_statistics(x, y) == DType::f64 ? f(float(), double()) : f(float(), float());
}

}  // namespace

void norm_forward(const NormForward& a) {
  visit_types(a.x_dtype, a.y_dtype, [&](auto c, auto w) { forward<decltype(c), decltype(w)>(a); });
}
void norm_backward(const NormBackward& a) {
  visit_types(a.x_dtype, a.y_dtype, [&](auto c, auto w) { backward<decltype(c), decltype(w)>(a); });
}
void join_forward(const JoinForward& a) {
  a.stream_dtype == DType::f64 ? forward<double>(a) : forward<float>(a);
}
void join_backward(const JoinBackward& a) {
  a.stream_dtype == DType::f64 ? backward<double>(a) : backward<float>(a);
}
void join_norm_forward(const JoinNormForward& a) {
  visit_types(a.norm.x_dtype, a.norm.y_dtype, [&](auto c, auto w) { forward<decltype(c), decltype(w)>(a); });
}
void join_norm_backward(const JoinNormBackward& a) {
  visit_types(a.norm.x_dtype, a.norm.y_dtype, [&](auto c, auto w) { backward<decltype(c), decltype(w)>(a); });
}
void sum_partials(const SumPartials& a) {
  a.partial_dtype == DType::f64 ? add_partials<double>(a) : add_partials<float>(a);
}

}  // namespace engine::cpu::ENGINE_ISA
