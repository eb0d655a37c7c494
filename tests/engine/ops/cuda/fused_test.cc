// What one kernel does in place of several ops, against those ops on the same device: the same bits where
// nothing is rounded between them.
#include <catch2/catch.hpp>
#include <functional>

#include "engine/ops/attention.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/head_scale.h"
#include "engine/ops/norm.h"
#include "engine/ops/rope.h"

using namespace engine;

namespace {

Tensor drawn(const Shape& shape, DType dtype, uint64_t seed, double mean = 0) {
  Rng rng{seed};
  std::vector<double> values(size_t(shape.numel()));
  for (double& v : values) v = mean + 2 * rng.uniform() - 1;
  return Tensor::from(values, shape, dtype).to(Device::cuda_host);
}

/// y = f(inputs), and the gradients of sum(y weights) by each of them.
struct Result {
  std::vector<double> y;
  std::vector<std::vector<double>> gradients;

  Result(std::vector<Tensor> inputs, const std::function<Tensor(const std::vector<Tensor>&)>& f) {
    Tape tape;
    const TapeScope scope(tape);
    for (Tensor& x : inputs) tape.watch(x);
    const Tensor out = f(inputs), weights = drawn(out.shape(), out.dtype(), 99);
    y = out.to_vector();
    tape.backward({&out, 1}, {&weights, 1});
    for (const Tensor& x : inputs) gradients.push_back(tape.gradient(x).to_vector());
  }
};

double difference(const std::vector<double>& a, const std::vector<double>& b) {
  double error = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) error += (a[i] - b[i]) * (a[i] - b[i]), size += b[i] * b[i];
  return std::sqrt(error / size);
}

TEST_CASE("cuda: norm and rotation in one kernel give the bits of the two") {
  for (const DType t : {DType::f64, DType::f32, DType::bf16, DType::f16})
    for (const int64_t n : {16, 10})  // packs, and elements one by one
      for (const bool per_head : {true, false}) {
        INFO(t << ", heads of " << n << (per_head ? "" : ", norm over the row"));
        const int64_t heads = 3, offset = 5;
        const DType wide = compute_dtype(t);
        const RopeAngles angles = plain_rope_angles(n, 1e4);
        const std::vector<Tensor> inputs = {drawn({2, 37, heads * n}, t, 1),
                                            drawn({per_head ? n : heads * n}, wide, 2, 1.5)};
        const auto arguments = [&](const std::vector<Tensor>& in) {
          return NormArguments{.kind = NormKind::rms, .weight = in[1], .groups = per_head ? heads : 1};
        };
        const Result fused(inputs, [&](const auto& in) {
          return norm_rope(in[0], arguments(in), heads, angles, offset, t);
        });
        const Result composed(inputs, [&](const auto& in) {
          return cast(rope(norm(in[0], arguments(in), wide), heads, angles, offset), t);
        });
        CHECK(fused.y == composed.y);
        CHECK(fused.gradients == composed.gradients);
      }
}

TEST_CASE("cuda: attention times gains is attention and a head scale, zeros too") {
  for (const DType t : {DType::f32, DType::bf16, DType::f16}) {
    const int64_t heads = 4, n = 32, T = 70;
    const std::vector<Tensor> inputs = {
        drawn({2, T, heads * n}, t, 1), drawn({2, T, 2 * n}, t, 2), drawn({2, T, 2 * n}, t, 3),
        Tensor::from({1.5, 0, -0.5, 0.25}, {heads}, DType::f32).to(Device::cuda_host)};
    AttentionOptions options{.heads = heads, .kv_heads = 2, .causal = true};
    const Result fused(inputs, [&](const auto& in) {
      AttentionOptions with = options;
      with.gain = in[3];
      return attention(in[0], in[1], in[2], with);
    });
    const Result composed(
        inputs, [&](const auto& in) { return head_scale(attention(in[0], in[1], in[2], options), in[3]); });
    const double rounding = t == DType::f32 ? 2e-6 : t == DType::f16 ? 2e-3 : 1.5e-2;
    INFO(t);
    CHECK(difference(fused.y, composed.y) < rounding);
    for (size_t i = 0; i < inputs.size(); ++i) {
      INFO("input " << i);
      CHECK(difference(fused.gradients[i], composed.gradients[i]) < rounding);
    }
  }
}

}  // namespace
