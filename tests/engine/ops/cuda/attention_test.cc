// Attention: CUDA kernels on the stand-in against the CPU's.
#include <catch2/catch.hpp>

#include "engine/cuda/host/count.h"
#include "engine/ops/attention_kernels.h"
#include "twin.h"

namespace engine {
namespace cuda_host {
void attention_forward(const AttentionForward&);
void attention_backward(const AttentionBackward&);
}  // namespace cuda_host
namespace {

struct Shape4 {
  int64_t batch, heads, kv_heads, queries, keys, n;
  bool causal, masked;
  double softcap, dropout;
  int64_t window = 0;
};

void compare(const Shape4& s, DType t, DType compute, bool fragments = false) {
  INFO(t << " in " << compute << " [" << s.batch << ", " << s.heads << "/" << s.kv_heads << ", " << s.queries
         << " of " << s.keys << ", " << s.n << "]" << (s.causal ? " causal" : "")
         << (s.masked ? " masked" : "") << " cap " << s.softcap << " dropout " << s.dropout << " window "
         << s.window);
  const int64_t width = s.heads * s.n, kv_width = s.kv_heads * s.n;
  Twin q(t, s.batch * s.queries * width), k(t, s.batch * s.keys * kv_width),
      v(t, s.batch * s.keys * kv_width), mask(DType::u8, s.batch * s.keys),
      out(t, s.batch * s.queries * width), wide(compute, s.batch * s.queries * width),
      lse(compute, s.batch * s.heads * s.queries);
  q.normal(1), k.normal(2), v.normal(3);
  // Of the first of two batch entries only the last key is open: earlier causal queries see nothing but
  // themselves.
  mask.fill([&](int64_t i) { return s.batch > 1 && i < s.keys ? i == s.keys - 1 : i % 5 != 2; });
  const auto shape = [&](auto on) {
    AttentionShape shape{s.batch, s.heads,   s.kv_heads, s.queries, s.keys, s.n,
                         0.3,     s.softcap, s.dropout,  5,         1000};
    shape.key_mask = s.masked ? static_cast<const uint8_t*>(on(mask)) : nullptr;
    shape.causal = s.causal, shape.window = s.window, shape.dtype = t, shape.compute = compute;
    return shape;
  };
  const auto rows = [&](const void* p, int64_t tokens, int64_t w) { return AttentionRows{p, tokens * w, w}; };
  on_both(cpu::attention_forward, cuda_host::attention_forward, [&](auto on) {
    return AttentionForward{shape(on),
                            rows(on(q), s.queries, width),
                            rows(on(k), s.keys, kv_width),
                            rows(on(v), s.keys, kv_width),
                            on(out),
                            on(wide),
                            on(lse)};
  });
  // Weights are rounded to bf16 where they are multiplied in pairs, and to 16 bits on tensor cores.
  const double rounding = t == DType::bf16 ? 4e-3 : compute == DType::f64 ? 1e-13 : fragments ? 6e-4 : 2e-6;
  CHECK(out.difference() <= std::max(rounding, rounding_of(t)));
  CHECK(wide.difference() <= rounding);
  CHECK(lse.difference() <= rounding);

  Twin dout(t, s.batch * s.queries * width), dq(t, s.batch * s.queries * width),
      dk(t, s.batch * s.keys * kv_width), dv(t, s.batch * s.keys * kv_width);
  dout.normal(4), dq.normal(5), dk.normal(6), dv.normal(7);
  const AttentionShape sizes = shape([](Twin& x) { return x.on(false); });
  const int64_t lanes = (s.n + kAttentionLanes - 1) / kAttentionLanes * kAttentionLanes;
  Twin partials(compute, s.batch * s.kv_heads * attention_parts(sizes) * 2 * s.keys * lanes);
  on_both(cpu::attention_backward, cuda_host::attention_backward, [&](auto on) {
    return AttentionBackward{shape(on),
                             rows(on(q), s.queries, width),
                             rows(on(k), s.keys, kv_width),
                             rows(on(v), s.keys, kv_width),
                             on(wide),
                             on(dout),
                             on(lse),
                             {on(dq), width, true},
                             {on(dk), kv_width, false},
                             {on(dv), kv_width, true},
                             on(partials)};
  });
  const double allowed =
      std::max(fragments || t == DType::bf16 ? 2 * rounding : 5 * rounding, rounding_of(t));
  CHECK(dq.difference() <= allowed);
  CHECK(dk.difference() <= allowed);
  CHECK(dv.difference() <= allowed);
}

TEST_CASE("cuda: attention, forward and backward") {
  const Shape4 shapes[] = {
      {2, 3, 3, 7, 7, 8, true, false, 0, 0},        {2, 4, 2, 5, 9, 24, true, true, 0, 0},
      {1, 2, 1, 40, 70, 16, false, true, 3, 0},     {2, 2, 2, 33, 33, 67, true, false, 0, 0.25},
      {1, 1, 1, 70, 70, 33, true, false, 2, 0.1},   {1, 2, 1, 70, 90, 17, true, false, 0, 0, 21},
      {2, 2, 1, 40, 45, 9, true, true, 2, 0.1, 38}, {2, 1, 1, 9, 40, 5, true, true, 0, 0, 1}};
  for (const Shape4& s : shapes) {
    for (const DType t : kFloats) compare(s, t, compute_dtype(t));
    compare(s, DType::f32, DType::f64);
  }
  compare({1, 1, 1, 3, 4, 130, true, false, 0, 0}, DType::f32, DType::f32);
}

TEST_CASE(
    "cuda: attention on tensor cores: every size of a head, ragged, grouped, masked, capped, with dropout",
    "[medium]") {
  for (const DType t : {DType::bf16, DType::f16}) {
    for (const int64_t n : {32, 64, 96, 128}) {
      compare({1, 1, 1, 130, 130, n, true, false, 0, 0}, t, DType::f32, true);
      compare({1, 2, 1, 70, 90, n, true, true, 3, 0.1}, t, DType::f32, true);
    }
    standin::settings().count = true;
    standin::reset_traffic();
    compare({2, 4, 2, 65, 65, 64, false, false, 0, 0}, t, DType::f32, true);
    standin::settings().count = false;
    CHECK(standin::total_traffic().matrix_flop > 0);
    CHECK(standin::total_traffic().conflict_factor() == 1);
    compare({2, 2, 1, 64, 128, 32, true, true, 0, 0}, t, DType::f32, true);
    compare({1, 1, 1, 1, 200, 64, true, false, 0, 0}, t, DType::f32, true);
    for (const int64_t window : {3, 16, 70, 130})  // of one key ds is nothing but rounding
      compare({1, 2, 1, 150, 200, 32, true, false, 0, 0, window}, t, DType::f32, true);
    compare({1, 2, 1, 150, 170, 64, true, true, 2, 0.1, 40}, t, DType::f32, true);
    compare({1, 1, 1, 140, 140, 128, true, false, 0, 0, 33}, t, DType::f32, true);
  }
}

}  // namespace
}  // namespace engine
