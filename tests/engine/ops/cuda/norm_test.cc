// Norms and joins: CUDA kernels on the stand-in against the CPU's.
#include <catch2/catch.hpp>

#include "engine/ops/norm_kernels.h"
#include "twin.h"

namespace engine {
namespace cuda_host {
void norm_forward(const NormForward&);
void norm_backward(const NormBackward&);
void join_forward(const JoinForward&);
void join_backward(const JoinBackward&);
void join_norm_forward(const JoinNormForward&);
void join_norm_backward(const JoinNormBackward&);
void sum_partials(const SumPartials&);
}  // namespace cuda_host
namespace {

struct Rows {
  int64_t rows, groups, n;
};
constexpr Rows kRows[] = {{70, 1, 24}, {5, 1, 67}, {40, 4, 8}, {3, 1, 2052}};

struct Pair {
  DType x, y;
};
constexpr Pair kPairs[] = {{DType::f64, DType::f64},  {DType::f32, DType::f32}, {DType::bf16, DType::bf16},
                           {DType::f32, DType::bf16}, {DType::f16, DType::f16}, {DType::f32, DType::f16}};

int64_t chunks_of(int64_t rows) { return (rows + kNormRows - 1) / kNormRows; }

TEST_CASE("cuda: every norm of every pair of dtypes, forward and backward") {
  for (const Pair t : kPairs)
    for (const Rows s : kRows)
      for (const NormKind kind : {NormKind::ln, NormKind::rms, NormKind::l2, NormKind::dyt}) {
        if (s.n > 2000 && t.x != DType::bf16) continue;
        const Activation activation =
            kind == NormKind::rms && s.groups == 1 ? Activation::gelu : Activation::identity;
        const DType c = compute_dtype(t.x), w = norm_statistics(t.x, t.y);
        const int64_t width = s.groups * s.n, stride = width + 8, chunks = chunks_of(s.rows);
        INFO(t.x << " to " << t.y << " [" << s.rows << ", " << s.groups << " x " << s.n << "] kind "
                 << int(kind));
        Twin x(t.x, s.rows * stride), y(t.y, s.rows * width), weight(c, s.n), bias(c, s.n), alpha(c, 1),
            mean(w, s.rows * s.groups), rstd(w, s.rows * s.groups);
        x.normal(1, 2, 0.3), weight.normal(2, 0.1, 1), bias.normal(3),
            alpha.fill([](int64_t) { return 0.6; });
        const bool dyt = kind == NormKind::dyt;
        on_both(cpu::norm_forward, cuda_host::norm_forward, [&](auto on) {
          return NormForward{on(x),
                             on(y),
                             on(weight),
                             on(bias),
                             dyt ? on(alpha) : nullptr,
                             kind == NormKind::ln ? on(mean) : nullptr,
                             dyt ? nullptr : on(rstd),
                             s.rows,
                             s.groups,
                             s.n,
                             stride,
                             t.x,
                             t.y,
                             kind,
                             activation,
                             1e-5,
                             0.25,
                             true};
        });
        CHECK(y.difference() <= 2 * rounding_of(t.y));
        const DType formed = activation == Activation::identity ? w : c;  // activations are formed in c
        if (!dyt) CHECK(rstd.difference() <= rounding_of(formed));
        if (kind == NormKind::ln) CHECK(mean.difference() <= 2 * rounding_of(w));

        Twin dy(t.y, s.rows * width), dx(t.x, s.rows * stride), partials(c, chunks * (2 * s.n + 4));
        dy.normal(4), dx.normal(5), partials.fill([](int64_t) { return 0; });
        const auto section = [&](void* p, int64_t begin) {
          return static_cast<char*>(p) + begin * size_of(c);
        };
        on_both(cpu::norm_backward, cuda_host::norm_backward, [&](auto on) {
          NormBackward a{on(x), on(dy), on(weight), dyt ? on(alpha) : nullptr, on(mean), on(rstd), on(dx)};
          a.dweight = section(on(partials), 0), a.dbias = section(on(partials), s.n);
          a.dalpha = dyt ? section(on(partials), 2 * s.n) : nullptr;
          a.rows = s.rows, a.groups = s.groups, a.n = s.n, a.x_stride = stride, a.dx_stride = stride;
          a.partial_stride = 2 * s.n + 4, a.x_dtype = t.x, a.y_dtype = t.y, a.kind = kind,
          a.activation = activation;
          a.gain_offset = 0.25, a.accumulate_dx = true;
          return a;
        });
        CHECK(dx.difference() <= 2 * rounding_of(t.x));
        CHECK(partials.difference() <= 3 * rounding_of(c));
      }
}

TEST_CASE("cuda: joins, with dropout and learned factors, alone and with a norm, forward and backward") {
  for (const Pair t : kPairs)
    for (const Rows s : kRows)
      for (const int variant : {0, 1, 2}) {  // constants; learned numbers and dropout; learned vectors
        if (s.n > 2000 && t.x != DType::f32) continue;
        const DType c = compute_dtype(t.x), w = norm_statistics(t.x, t.y);
        const int64_t width = s.groups * s.n, chunks = chunks_of(s.rows);
        INFO(t.x << " with " << t.y << " [" << s.rows << ", " << s.groups << " x " << s.n << "] variant "
                 << variant);
        Twin stream(t.x, s.rows * width), o(t.y, s.rows * width), joined(t.x, s.rows * width), res(c, width),
            branch(c, width);
        stream.normal(1), o.normal(2), res.normal(3, 0.2, 1), branch.normal(4, 0.2, 1);
        const auto factor = [&](void* p, double value) {
          return variant == 0 ? JoinFactor{nullptr, false, value} : JoinFactor{p, variant == 2, 0};
        };
        const JoinDropout dropout{variant == 1 ? 0.25 : 0, 9, 1234};
        const auto join_of = [&](auto on) {
          return JoinForward{on(stream),
                             on(o),
                             on(joined),
                             s.rows,
                             width,
                             width,
                             width,
                             t.x,
                             t.y,
                             factor(on(res), 0.9),
                             factor(on(branch), 1.1),
                             dropout};
        };
        on_both(cpu::join_forward, cuda_host::join_forward, join_of);
        CHECK(joined.difference() <= rounding_of(t.x));

        Twin y(t.y, s.rows * width), weight(c, s.n), bias(c, s.n), mean(w, s.rows * s.groups),
            rstd(w, s.rows * s.groups);
        weight.normal(5, 0.1, 1), bias.normal(6);
        on_both(cpu::join_norm_forward, cuda_host::join_norm_forward, [&](auto on) {
          return JoinNormForward{
              join_of(on),
              NormForward{on(joined), on(y), on(weight), on(bias), nullptr, on(mean), on(rstd), s.rows,
                          s.groups, s.n, width, t.x, t.y, NormKind::ln, Activation::identity, 1e-5, 0, true}};
        });
        CHECK(joined.difference() <= rounding_of(t.x));
        CHECK(y.difference() <= 2 * rounding_of(t.y));

        const int64_t partial_stride = 2 * width + 2 * s.n;
        Twin djoined(t.x, s.rows * width), dy(t.y, s.rows * width), dstream(t.x, s.rows * width),
            d_o(t.y, s.rows * width), partials(c, chunks * partial_stride);
        djoined.normal(7), dy.normal(8), dstream.normal(9), d_o.normal(10),
            partials.fill([](int64_t) { return 0; });
        const auto section = [&](void* p, int64_t begin) {
          return static_cast<char*>(p) + begin * size_of(c);
        };
        const auto join_back = [&](auto on) {
          JoinBackward a{on(stream), on(o), on(djoined), on(dstream), on(d_o)};
          if (variant > 0) a.dres = section(on(partials), 0), a.dbranch = section(on(partials), width);
          a.rows = s.rows, a.width = width,
          a.stream_stride = a.o_stride = a.dstream_stride = a.do_stride = width;
          a.partial_stride = partial_stride, a.stream_dtype = t.x, a.o_dtype = t.y;
          a.res = factor(on(res), 0.9), a.branch = factor(on(branch), 1.1), a.dropout = dropout;
          a.accumulate_dstream = true, a.accumulate_do = false;
          return a;
        };
        on_both(cpu::join_backward, cuda_host::join_backward, join_back);
        CHECK(dstream.difference() <= 2 * rounding_of(t.x));
        CHECK(d_o.difference() <= 2 * rounding_of(t.y));
        CHECK(partials.difference() <= 3 * rounding_of(c));
        on_both(cpu::join_norm_backward, cuda_host::join_norm_backward, [&](auto on) {
          NormBackward n{on(joined), on(dy), on(weight), nullptr, on(mean), on(rstd), nullptr};
          n.dweight = section(on(partials), 2 * width), n.dbias = section(on(partials), 2 * width + s.n);
          n.rows = s.rows, n.groups = s.groups, n.n = s.n, n.x_stride = width,
          n.partial_stride = partial_stride;
          n.x_dtype = t.x, n.y_dtype = t.y, n.kind = NormKind::ln, n.activation = Activation::identity;
          return JoinNormBackward{join_back(on), n};
        });
        CHECK(dstream.difference() <= 2 * rounding_of(t.x));
        CHECK(d_o.difference() <= 2 * rounding_of(t.y));
        CHECK(partials.difference() <=
              std::max(3 * rounding_of(c), rounding_of(t.x)));  // both read their own `joined`

        Twin sum(t.y, partial_stride);
        sum.normal(11);
        on_both(cpu::sum_partials, cuda_host::sum_partials, [&](auto on) {
          return SumPartials{on(partials), on(sum), chunks, partial_stride, partial_stride, c, t.y, true};
        });
        CHECK(sum.difference() <= 2 * rounding_of(t.y));
      }
}

}  // namespace
}  // namespace engine
