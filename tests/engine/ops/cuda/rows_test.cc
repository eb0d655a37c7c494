// Activations, softmax, rotary positions, head scale, rows by index, routing, losses, optimizers, random
// numbers: CUDA kernels on the stand-in against the CPU's.
#include <catch2/catch.hpp>

#include "engine/ops/activation_kernels.h"
#include "engine/ops/head_scale_kernels.h"
#include "engine/ops/loss_kernels.h"
#include "engine/ops/optimizer_kernels.h"
#include "engine/ops/random_kernels.h"
#include "engine/ops/rope_kernels.h"
#include "engine/ops/routing_kernels.h"
#include "engine/ops/rows_kernels.h"
#include "engine/ops/softmax_kernels.h"
#include "twin.h"

namespace engine {
namespace cuda_host {
void activate_forward(const ActivateForward&);
void activate_backward(const ActivateBackward&);
void glu_forward(const GluForward&);
void glu_backward(const GluBackward&);
void softmax_forward(const SoftmaxForward&);
void softmax_backward(const SoftmaxBackward&);
void rope(const RopeArgs&);
void head_scale_forward(const HeadScaleForward&);
void head_scale_backward(const HeadScaleBackward&);
void gather_rows(const GatherRows&);
void scatter_rows(const ScatterRows&);
void dot_rows(const DotRows&);
void choose_experts(const ChooseExperts&);
void route_forward(const RouteForward&);
void route_backward(const RouteBackward&);
void cross_entropy_forward(const CrossEntropyForward&);
void cross_entropy_backward(const CrossEntropyBackward&);
void score_chunk(const ScoreChunk&);
void column_sums(const ColumnSums&);
void squared_error_forward(const SquaredErrorForward&);
void squared_error_backward(const SquaredErrorBackward&);
void adam_step(const AdamStep&);
void nag_step(const NagStep&);
void sgd_step(const SgdStep&);
void ema_step(const EmaStep&);
void sum_of_squares(const SumOfSquares&);
void random_fill(const RandomFill&);
}  // namespace cuda_host
namespace {

constexpr Activation kActivations[] = {Activation::identity, Activation::gelu,   Activation::gelu_tanh,
                                       Activation::relu,     Activation::relu2,  Activation::silu,
                                       Activation::tanh,     Activation::sigmoid};

TEST_CASE("cuda: activations and gated ones, forward and backward") {
  for (const DType t : kFloats)
    for (const Activation act : kActivations)
      for (const int64_t n : {64, 37}) {
        INFO(t << " " << name_of(act) << " n " << n);
        const int64_t rows = 5, stride = n + 16;
        Twin x(t, rows * stride), up(t, rows * stride), y(t, rows * n), dy(t, rows * n), dx(t, rows * stride),
            dup(t, rows * n);
        x.normal(1, 2), up.normal(2), dy.normal(3), dx.normal(4), dup.normal(5);
        on_both(cpu::activate_forward, cuda_host::activate_forward,
                [&](auto on) { return ActivateForward{on(x), on(y), rows, n, stride, t, act}; });
        CHECK(y.difference() <= rounding_of(t));
        on_both(cpu::activate_backward, cuda_host::activate_backward, [&](auto on) {
          return ActivateBackward{on(x), on(dy), on(dx), rows, n, stride, stride, t, act, true};
        });
        CHECK(dx.difference() <= rounding_of(t));
        on_both(cpu::glu_forward, cuda_host::glu_forward,
                [&](auto on) { return GluForward{on(x), on(up), on(y), rows, n, stride, stride, t, act}; });
        CHECK(y.difference() <= rounding_of(t));
        on_both(cpu::glu_backward, cuda_host::glu_backward, [&](auto on) {
          return GluBackward{on(x),  on(up), on(dy), on(dx), on(dup), rows, n,    stride,
                             stride, stride, n,      t,      act,     true, false};
        });
        CHECK(dx.difference() <= rounding_of(t));
        CHECK(dup.difference() <= rounding_of(t));
      }
}

TEST_CASE("cuda: softmax and its logarithm, forward and backward") {
  for (const DType t : kFloats)
    for (const int64_t n : {1, 67, 1024, 2056})
      for (const bool log : {false, true}) {
        INFO(t << " n " << n << (log ? " log" : ""));
        const int64_t rows = 5;
        Twin x(t, rows * n), y(t, rows * n), dy(t, rows * n), dx(t, rows * n);
        x.normal(1, 3), dy.normal(2), dx.normal(3);
        on_both(cpu::softmax_forward, cuda_host::softmax_forward,
                [&](auto on) { return SoftmaxForward{on(x), on(y), rows, n, n, t, log}; });
        CHECK(y.difference() <= rounding_of(t));
        on_both(cpu::softmax_backward, cuda_host::softmax_backward,
                [&](auto on) { return SoftmaxBackward{on(y), on(dy), on(dx), rows, n, n, t, log, true}; });
        CHECK(dx.difference() <= 3 * rounding_of(t));
      }
}

TEST_CASE("cuda: rotary positions and head scale") {
  for (const DType t : kFloats)
    for (const int64_t n : {16, 6}) {
      INFO(t << " n " << n);
      const DType c = compute_dtype(t);
      const int64_t rows = 80, time = 10, heads = 3, width = heads * n, stride = width + 16;
      Twin x(t, rows * stride), y(t, rows * stride), cosines(c, time * n / 2), sines(c, time * n / 2);
      x.normal(1), y.normal(2);
      cosines.fill([](int64_t i) { return std::cos(0.1 * double(i)); });
      sines.fill([](int64_t i) { return std::sin(0.1 * double(i)); });
      for (const bool inverse : {false, true}) {
        on_both(cpu::rope, cuda_host::rope, [&](auto on) {
          return RopeArgs{on(x), on(y),  on(cosines), on(sines), rows,    time,   heads,
                          n,     stride, stride,      t,         inverse, inverse};
        });
        CHECK(y.difference() <= rounding_of(t));
      }
      Twin gain(c, heads), z(t, rows * width), dy(t, rows * width), dgain(c, heads), partials(c, 2 * heads);
      gain.normal(3, 0.2, 1), dy.normal(4), dgain.normal(5);
      on_both(cpu::head_scale_forward, cuda_host::head_scale_forward,
              [&](auto on) { return HeadScaleForward{on(x), on(gain), on(z), rows, heads, n, stride, t}; });
      CHECK(z.difference() <= rounding_of(t));
      on_both(cpu::head_scale_backward, cuda_host::head_scale_backward, [&](auto on) {
        return HeadScaleBackward{on(x), on(gain), on(dy), on(y),  on(dgain), on(partials), rows,
                                 heads, n,        stride, stride, t,         true,         true};
      });
      CHECK(y.difference() <= rounding_of(t));
      CHECK(dgain.difference() <= 3 * rounding_of(c));
    }
}

TEST_CASE("cuda: rows by index: gathered, scattered, multiplied") {
  for (const DType t : kFloats)
    for (const int64_t d : {64, 13}) {
      INFO(t << " d " << d);
      const DType c = compute_dtype(t);
      const int64_t n = 40, rows = 9;
      Twin table(t, rows * d), ids(DType::i32, n), weights(c, n), x(t, n * d), y(c, n * d), sums(c, rows * d),
          dots(c, n);
      const auto id_of = [](int64_t i) { return (i * i) % 7; };  // rows 3, 5, 6, 7 and 8 get none
      table.normal(1), ids.fill(id_of), weights.normal(2), x.normal(3), y.normal(4), sums.normal(5),
          dots.normal(6);
      std::vector<int32_t> sorted, begins = {0};
      for (int64_t v = 0; v < rows; ++v) {
        for (int64_t i = 0; i < n; ++i)
          if (id_of(i) == v) sorted.push_back(int32_t(i));
        begins.push_back(int32_t(sorted.size()));
      }
      Twin order(DType::i32, n), starts(DType::i32, rows + 1);
      order.fill([&](int64_t i) { return sorted[size_t(i)]; }),
          starts.fill([&](int64_t i) { return begins[size_t(i)]; });
      const auto ints = [](void* p) { return static_cast<const int32_t*>(p); };
      for (const bool accumulate : {true, false}) {
        on_both(cpu::gather_rows, cuda_host::gather_rows, [&](auto on) {
          return GatherRows{on(table), ints(on(ids)), accumulate ? on(weights) : nullptr, on(y), n, d, t, c,
                            0.5,       accumulate};
        });
        CHECK(y.difference() <= rounding_of(c));
        on_both(cpu::scatter_rows, cuda_host::scatter_rows, [&](auto on) {
          return ScatterRows{on(x),
                             ints(on(order)),
                             ints(on(starts)),
                             accumulate ? on(weights) : nullptr,
                             on(sums),
                             rows,
                             d,
                             t,
                             c,
                             0.5,
                             accumulate};
        });
        CHECK(sums.difference() <= rounding_of(c));
        on_both(cpu::dot_rows, cuda_host::dot_rows, [&](auto on) {
          return DotRows{on(x), on(table), ints(on(ids)), on(dots), n, d, t, c, accumulate};
        });
        CHECK(dots.difference() <= rounding_of(c));
      }
    }
}

TEST_CASE("cuda: sums over rows of no width are zeros") {
  for (const DType t : kFloats) {
    INFO(t);
    const DType c = compute_dtype(t);
    const int64_t rows = 5, heads = 3;
    Twin none(t, 0), gain(c, heads), dgain(c, heads), partials(c, heads), ids(DType::i32, rows),
        dots(c, rows);
    gain.normal(1), dgain.normal(2), ids.fill([](int64_t) { return 0; }), dots.normal(3);
    on_both(cpu::head_scale_backward, cuda_host::head_scale_backward, [&](auto on) {
      return HeadScaleBackward{on(none), on(gain), on(none), nullptr, on(dgain), on(partials), rows,
                               heads,    0,        0,        0,       t,         false,        false};
    });
    CHECK(dgain.difference() == 0);
    on_both(cpu::dot_rows, cuda_host::dot_rows, [&](auto on) {
      return DotRows{on(none), on(none), static_cast<const int32_t*>(on(ids)), on(dots), rows, 0, t,
                     c,        false};
    });
    CHECK(dots.difference() == 0);
  }
}

TEST_CASE("cuda: routing chooses the CPU's experts, ties to the lower index") {
  for (const DType t : kFloats) {
    INFO(t);
    const int64_t tokens = 150, experts = 7, k = 3;
    Twin p(t, tokens * experts), chosen(DType::i32, tokens * k), slots(DType::i32, tokens * k),
        weights(t, tokens * k), dw(t, tokens * k), dp(t, tokens * experts), choices(DType::i32, tokens * k),
        offsets(DType::i32, experts + 1), rows(DType::i32, tokens * k), order(DType::i32, tokens * k),
        starts(DType::i32, tokens + 1), share(t, experts);
    p.fill([](int64_t i) { return double((i * 2654435761u) % 11 + 1) / 16; });  // many ties
    dw.normal(2), dp.normal(3);
    const auto ints = [](void* q) { return static_cast<int32_t*>(q); };
    on_both(cpu::choose_experts, cuda_host::choose_experts,
            [&](auto on) { return ChooseExperts{on(p), ints(on(chosen)), tokens, experts, k, t}; });
    CHECK(chosen.difference() == 0);
    on_both(cpu::sort_rows, cuda_host::sort_rows, [&](auto on) {
      return SortRows{ints(on(chosen)), ints(on(choices)), ints(on(offsets)), tokens * k, experts};
    });
    CHECK(choices.difference() == 0);
    CHECK(offsets.difference() == 0);
    for (const bool normalize : {true, false}) {
      on_both(cpu::route_forward, cuda_host::route_forward, [&](auto on) {
        return RouteForward{.probabilities = on(p),
                            .chosen = ints(on(chosen)),
                            .choices = ints(on(choices)),
                            .offsets = ints(on(offsets)),
                            .slots = ints(on(slots)),
                            .rows = ints(on(rows)),
                            .order = ints(on(order)),
                            .starts = ints(on(starts)),
                            .weights = on(weights),
                            .share = on(share),
                            .tokens = tokens,
                            .experts = experts,
                            .k = k,
                            .dtype = t,
                            .normalize = normalize};
      });
      for (const Twin* same : {&slots, &rows, &order, &starts}) CHECK(same->difference() == 0);
      CHECK(share.difference() <= rounding_of(t));
      CHECK(weights.difference() <= rounding_of(t));
      on_both(cpu::route_backward, cuda_host::route_backward, [&](auto on) {
        return RouteBackward{on(p), ints(on(chosen)), ints(on(slots)), on(dw), on(dp), tokens, experts, k,
                             t,     normalize,        normalize};
      });
      CHECK(dp.difference() <= 2 * rounding_of(t));
    }
  }
}

TEST_CASE("cuda: cross entropy, rows without a label, and the head's chunk in place") {
  for (const DType t : kFloats)
    for (const int64_t classes : {64, 67, 1500}) {
      INFO(t << " classes " << classes);
      const DType c = compute_dtype(t);
      const int64_t rows = 6;
      Twin z(t, rows * classes), labels(DType::i32, rows), losses(DType::f64, rows), lse(c, rows),
          dz(t, rows * classes), dloss(DType::f64, 1), sum(DType::f64, 1);
      dloss.fill([](int64_t) { return 0.25; });
      z.normal(1, 3), dz.normal(2), lse.fill([](int64_t) { return 0; });
      labels.fill([&](int64_t i) { return i == 2 ? -100 : (i * 31) % classes; });
      const auto ints = [](void* p) { return static_cast<const int32_t*>(p); };
      const auto doubles = [](void* p) { return static_cast<double*>(p); };
      on_both(cpu::cross_entropy_forward, cuda_host::cross_entropy_forward, [&](auto on) {
        return CrossEntropyForward{
            on(z), ints(on(labels)), doubles(on(losses)), on(lse), rows, classes, classes, t};
      });
      CHECK(losses.difference() <= (t == DType::f64 ? 1e-13 : 1e-6));
      on_both(cpu::add_losses, cuda_host::add_losses,
              [&](auto on) { return AddLosses{doubles(on(losses)), doubles(on(sum)), rows}; });
      CHECK(sum.difference() <= (t == DType::f64 ? 1e-13 : 1e-6));
      for (const bool accumulate : {true, false}) {
        on_both(cpu::cross_entropy_backward, cuda_host::cross_entropy_backward, [&](auto on) {
          return CrossEntropyBackward{on(z), ints(on(labels)), on(lse), on(dz),     doubles(on(dloss)),
                                      rows,  classes,          classes, classes,    accumulate, t};
        });
        CHECK(dz.difference() <= rounding_of(t));
      }
      for (const double cap : {0.0, 5.0}) {
        const int64_t vocabulary = classes - 3;
        Twin logits(c, rows * classes), bias(c, classes), all(DType::i32, rows);
        logits.normal(3, 3), bias.normal(4), all.fill([&](int64_t i) { return (i * 13) % vocabulary; });
        on_both(cpu::score_chunk, cuda_host::score_chunk, [&](auto on) {
          return ScoreChunk{on(logits), on(bias), ints(on(all)), doubles(on(losses)),
                            rows,       classes,  vocabulary,    cap,
                            8,          nullptr,  true,          t};
        });
        CHECK(losses.difference() <= (t == DType::f64 ? 1e-13 : 1e-6));
        CHECK(logits.difference_as(t, classes * size_of(c) / size_of(t), classes) <= 2 * rounding_of(t));
      }
      Twin sums(c, classes);
      sums.normal(5);
      on_both(cpu::column_sums, cuda_host::column_sums,
              [&](auto on) { return ColumnSums{on(z), on(sums), rows, classes, classes, true, t}; });
      CHECK(sums.difference() <= rounding_of(c));
    }
}

TEST_CASE("cuda: squared error") {
  for (const DType t : kFloats)
    for (const int64_t n : {7, 40000}) {
      Twin x(t, n), target(t, n), losses(DType::f64, (n + kSquaredErrorChunk - 1) / kSquaredErrorChunk),
          g(t, n), dloss(DType::f64, 1);
      dloss.fill([](int64_t) { return 0.5; });
      x.normal(1), target.normal(2), g.normal(3);
      on_both(cpu::squared_error_forward, cuda_host::squared_error_forward, [&](auto on) {
        return SquaredErrorForward{on(x), on(target), static_cast<double*>(on(losses)), n, t};
      });
      CHECK(losses.difference() <= 1e-7);
      on_both(cpu::squared_error_backward, cuda_host::squared_error_backward,
              [&](auto on) {
                return SquaredErrorBackward{
                    on(x), on(target), on(g), static_cast<double*>(on(dloss)), n, -1, true, t};
              });
      CHECK(g.difference() <= rounding_of(t));
    }
}

TEST_CASE("cuda: every optimizer, every dtype of parameters and gradients") {
  struct Types {
    DType p, g, low;
  };
  for (const Types t :
       {Types{DType::f64, DType::f64, DType::f64}, Types{DType::f32, DType::f32, DType::bf16},
        Types{DType::f32, DType::bf16, DType::f16}, Types{DType::bf16, DType::f16, DType::f32}})
    for (const int64_t n : {4096, 1003}) {
      INFO(t.p << " " << t.g << " " << t.low << " n " << n);
      const DType c = compute_dtype(t.p);
      Twin p(t.p, n), g(t.g, n), first(c, n), second(c, n), low(t.low, n);
      p.normal(1), g.normal(2), first.normal(3, 0.1),
          second.fill([](int64_t i) { return 0.01 * double(i % 5); });
      // StepScalars: seed, loss_scale, nats, scored, auxiliary_scale, norm, factor, unclipped, finite, lr, size, root_scale,
      // buffer_to_p, gradient_to_p, buffer_keep.
      constexpr double numbers[] = {0, 1, 0, 1, 1, 1, 0.7, 1, 1, 0.01, 0.01, 1.2, 0.8, 0.02, 0.9};
      Twin scalars(DType::f64, 15);
      scalars.fill([&](int64_t i) { return numbers[i]; });
      const auto flat = [&](auto on, bool moments) {
        FlatStep step{.parameters = on(p),
                      .gradients = on(g),
                      .first = moments ? on(first) : nullptr,
                      .second = moments ? on(second) : nullptr,
                      .low = on(low),
                      .low_begin = 0,
                      .low_end = n,
                      .n = n,
                      .parameter_dtype = t.p,
                      .gradient_dtype = t.g,
                      .low_dtype = t.low,
                      .scalars = static_cast<const StepScalars*>(on(scalars)),
                      .spans = {}};
        for (DecaySpan& span : step.spans) span = {n, 0.05};
        step.spans[0] = {n / 8 * 4, 0.1};
        return step;
      };
      const auto agree = [&] {
        CHECK(p.difference() <= rounding_of(t.p));
        CHECK(low.difference() <= rounding_of(t.low));
        CHECK(first.difference() <= rounding_of(c));
        CHECK(second.difference() <= rounding_of(c));
      };
      on_both(cpu::adam_step, cuda_host::adam_step, [&](auto on) {
        return AdamStep{flat(on, true), 0.9, 0.95, 1e-8};
      });
      agree();
      on_both(cpu::nag_step, cuda_host::nag_step, [&](auto on) { return NagStep{flat(on, true)}; });
      agree();
      on_both(cpu::sgd_step, cuda_host::sgd_step, [&](auto on) { return SgdStep{flat(on, true), 0.9}; });
      agree();
      on_both(cpu::sgd_step, cuda_host::sgd_step, [&](auto on) { return SgdStep{flat(on, false), 0}; });
      agree();
      on_both(cpu::ema_step, cuda_host::ema_step, [&](auto on) {
        EmaStep step{flat(on, false), 0.99};
        step.flat.scalars = nullptr;
        return step;
      });
      agree();
    }
  for (const DType t : kFloats) {
    Twin x(t, 40001), partials(DType::f64, 3);
    x.normal();
    on_both(cpu::sum_of_squares, cuda_host::sum_of_squares, [&](auto on) {
      return SumOfSquares{on(x), static_cast<double*>(on(partials)), 40001, t};
    });
    CHECK(partials.difference() <= 1e-13);
  }
}

TEST_CASE("cuda: random numbers of every law") {
  for (const Law law : {Law::normal, Law::truncated, Law::uniform})
    for (const bool wide : {false, true}) {
      Twin x(wide ? DType::f64 : DType::f32, 5003);
      on_both(cpu::random_fill, cuda_host::random_fill,
              [&](auto on) { return RandomFill{on(x), 5003, wide, law, 0.02, 3, 10}; });
      CHECK(x.difference() <= 1e-6);
    }
}

}  // namespace
}  // namespace engine
