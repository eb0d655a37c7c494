// Random graphs: about twenty ops over views, parts, joins, attention and checkpointed segments, through
// gradcheck in f64 and through several numbers of threads. Single ops are tested by their rows
// (engine/cases); here it is what the tape does between them: buffers that two slots share, gradients formed
// inside wider ones, parts nobody uses.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "engine/autograd/checkpoint.h"
#include "engine/autograd/gradcheck.h"
#include "engine/cpu/parallel.h"
#include "engine/ops/activation.h"
#include "engine/ops/attention.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/head_scale.h"
#include "engine/ops/linear.h"
#include "engine/ops/norm.h"
#include "engine/ops/reduce.h"
#include "engine/ops/rope.h"
#include "engine/ops/routing.h"
#include "engine/ops/softmax.h"
#include "engine/ops/view.h"
#include "wide_work_scope.h"

using namespace engine;

namespace {

constexpr int kOps = 20;

Tensor drawn(const Shape& shape, DType dtype, Rng& rng) {
  std::vector<double> values(size_t(shape.numel()));
  for (double& value : values) value = rng.normal();
  return Tensor::from(values, shape, dtype);
}

// Builds one graph. All choices come from `rng_` and from shapes, so that the same seed builds the same graph
// each time it is asked for its value. The pool holds tensors [B, T, D] of one dtype, D even.
class Graph {
 public:
  Graph(uint64_t seed, std::vector<Tensor> pool, std::string* story)
      : rng_{seed}, pool_(std::move(pool)), story_(story) {}

  std::vector<Tensor> grow(int ops, bool segments) {
    for (int i = 0; i < ops; ++i) add_op(segments);
    // The last two, so that chains are long, and one from anywhere.
    std::vector<Tensor> outputs = {pool_[pool_.size() - 1], pool_[pool_.size() - 2], any()};
    return outputs;
  }

 private:
  int64_t below(int64_t n) { return int64_t(rng_.below(uint64_t(n))); }
  // The young ones are taken more often.
  const Tensor& any() {
    const int64_t n = int64_t(pool_.size());
    return pool_[size_t(below(3) == 0 ? below(n) : n - 1 - below(std::min<int64_t>(n, 5)))];
  }
  // Another one for which `fits` holds, or x itself.
  template <class Fits>
  Tensor partner(const Tensor& x, Fits fits) {
    for (int tries = 0; tries < 6; ++tries)
      if (const Tensor& y = any(); fits(y)) return y;
    return x;
  }
  Tensor same_shape(const Tensor& x) {
    return partner(x, [&](const Tensor& y) { return y.shape() == x.shape(); });
  }
  // A leaf of its own, drawn anew each time and without gradient.
  Tensor weight(const Shape& shape, DType dtype) { return affine(drawn(shape, dtype, rng_), 0.5, 0.25); }
  // Keeps numbers of order one, where differences are exact.
  Tensor tame(const Tensor& x) { return softcap(x, 2); }
  void push(const char* name, const Tensor& y) {
    if (story_) *story_ += join_text(" ", name, y.shape());
    pool_.push_back(y);
  }
  int64_t divisor(int64_t n) {
    const int64_t d = 1 + below(n);
    return n % d == 0 ? d : 1;
  }

  void add_op(bool segments) {
    const Tensor x = any();
    const int64_t B = x.size(0), T = x.size(1), D = x.size(2);
    const DType compute = compute_dtype(x.dtype());
    switch (below(segments ? 22 : 20)) {
      case 0: return push("add", affine(add(x, same_shape(x)), 0.7));
      case 1: return push("sub", sub(x, affine(same_shape(x), 0.5)));
      case 2: return push("mul", tame(mul(x, same_shape(x))));
      case 3: {  // a row or a column of another, stretched
        const Tensor y = partner(x, [&](const Tensor& t) { return t.size(2) == D; });
        const Tensor row = slice(slice(y, 0, 0, 1), 1, y.size(1) - 1, y.size(1));
        return push("stretched add", affine(add(x, row), 0.7));
      }
      case 4: {
        const Activation kinds[] = {Activation::gelu, Activation::silu, Activation::tanh,
                                    Activation::gelu_tanh};
        return push("activate", activate(x, kinds[below(4)]));
      }
      case 5: return push("glu", tame(glu(x, same_shape(x), Activation::silu)));
      case 6: return push("softmax", below(2) ? softmax(x) : tame(log_softmax(x)));
      case 7: {
        const NormKind kind = below(2) ? NormKind::ln : NormKind::rms;
        const int64_t groups = divisor(D / 2);
        return push(
            "norm",
            norm(x, {.kind = kind, .weight = weight({D / groups}, compute), .eps = 0.3, .groups = groups},
                 x.dtype()));
      }
      case 8: {
        const Tensor o = same_shape(x);
        ResidualJoin join;
        if (below(2)) join.branch.learned = weight({D}, compute);
        return push("residual_add", affine(residual_add(x, o, join), 0.7));
      }
      case 9: {
        const auto [joined, normed] =
            residual_add_norm(x, same_shape(x), {},
                              {.kind = NormKind::rms, .weight = weight({D}, compute), .eps = 0.3}, x.dtype());
        push("joined", affine(joined, 0.7));
        return push("normed", normed);
      }
      case 10: return push("rope", rope(x, 1, 100));
      case 11: return push("head_scale", head_scale(x, weight({divisor(D)}, compute)));
      case 12: {
        const int64_t out = 2 * (1 + below(3));
        return push("linear", tame(linear(x, weight({out, D}, x.dtype()))));
      }
      case 13:
      case 14: {  // queries from x or a part of it, keys and values from tensors that are as wide and long
                  // enough
        const int64_t begin = below(T), end = begin + 1 + below(T - begin);
        const Tensor q = below(2) ? slice(x, 1, begin, end) : x;
        const Tensor k = partner(
            x, [&](const Tensor& t) { return t.size(0) == B && t.size(2) == D && t.size(1) >= q.size(1); });
        const Tensor v =
            below(2) ? affine(k, 0.8) : partner(k, [&](const Tensor& t) { return t.shape() == k.shape(); });
        const int64_t heads = divisor(D / 2);
        const Tensor y = attention(q, k, v, {.heads = heads, .kv_heads = heads, .causal = below(2) == 0});
        return below(2) ? push("attention", y) : push("attention, added", affine(add(q, y), 0.7));
      }
      case 15: {
        const int axis = int(below(2));
        const int64_t n = x.size(axis), begin = below(n);
        return push("slice", slice(x, axis, begin, begin + 1 + below(n - begin)));
      }
      case 16: {  // along the last axis, in even parts
        if (D < 4) return push("affine", affine(x, 0.8, 0.1));
        const int64_t first = 2 * (1 + below(D / 2 - 1));
        const std::vector<Tensor> parts = split(x, 2, {first, D - first});
        push("part", parts[0]);
        if (below(3)) push("part", parts[1]);
        return;
      }
      case 17: return push("transpose", transpose(x, 0, 1));
      case 18: {
        const Tensor y = partner(x, [&](const Tensor& t) { return t.size(0) == B && t.size(1) == T; });
        if (D + y.size(2) > 12) return push("reshape", reshape(contiguous(x), {B * T, 1, D}));
        return push("concat", concat({x, y}, 2));
      }
      case 19: {  // rows in another order, some twice
        std::vector<int32_t> ids(size_t(B * T));
        for (int32_t& id : ids) id = int32_t(below(B * T));
        const Tensor rows = reshape(contiguous(x), {B * T, D});
        return push("gather", reshape(gather_rows(rows, Tensor::from_ids(ids, {B * T})), {B, T, D}));
      }
      default: {
        const Tensor y = any();
        const uint64_t seed = rng_.below(1u << 30);
        const int ops = 1 + int(below(5));
        if (story_) *story_ += " {";
        std::string* story = story_;
        const auto outputs = checkpoint(
            [seed, ops, story](const std::vector<Tensor>& t) {
              Graph inner(seed, t, nullptr);
              std::vector<Tensor> out = inner.grow(ops, false);
              out.resize(2);
              return out;
            },
            {x, y});
        push("checkpoint", outputs[0]);
        if (below(2)) push("checkpoint", outputs[1]);
        if (story_) *story_ += " }";
      }
    }
  }

  Rng rng_;
  std::vector<Tensor> pool_;
  std::string* story_;
};

std::vector<Tensor> inputs_of(uint64_t seed, DType dtype, int64_t times) {
  Rng rng{seed, 77};
  const Shape shape{1 + int64_t(rng.below(2)), times * (1 + int64_t(rng.below(4))),
                    2 * (1 + int64_t(rng.below(3)))};
  return {drawn(shape, dtype, rng), drawn(shape, dtype, rng)};
}

void check_gradients(uint64_t first, uint64_t count) {
  for (uint64_t seed = first; seed < first + count; ++seed) {
    std::string story;
    const std::vector<Tensor> inputs = inputs_of(seed, DType::f64, 1);
    Graph(seed, inputs, &story).grow(kOps, true);
    const GradcheckResult result =
        gradcheck([seed](const std::vector<Tensor>& x) { return Graph(seed, x, nullptr).grow(kOps, true); },
                  inputs, {.atol = 1e-7, .max_elements = 12, .seed = seed});
    INFO("seed " << seed << ":" << story << "\n" << result.text);
    CHECK(result.ok);
  }
}

// The bytes of outputs and gradients.
std::string bits_of(uint64_t seed, DType dtype) {
  std::vector<Tensor> inputs = inputs_of(seed, dtype, 40), outputs, cotangents;
  Tape tape;
  {
    const TapeScope scope(tape);
    for (Tensor& x : inputs) tape.watch(x);
    outputs = Graph(seed, inputs, nullptr).grow(kOps, true);
  }
  Rng rng{seed, 5};
  for (const Tensor& y : outputs) cotangents.push_back(drawn(y.shape(), dtype, rng));
  tape.backward(outputs, cotangents);
  for (const Tensor& x : inputs)
    if (const Tensor g = tape.gradient(x); g.defined()) outputs.push_back(g);
  std::string bits;
  for (const Tensor& t : outputs) {
    const Tensor c = contiguous(t.detach());
    bits.append(static_cast<const char*>(c.raw()), size_t(c.bytes()));
  }
  return bits;
}

void check_threads(uint64_t first, uint64_t count) {
  const WideWorkScope none(0);
  const int before = cpu::thread_count();
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const DType dtype = seed % 3 == 0 ? DType::bf16 : DType::f32;
    cpu::set_thread_count(1);
    const std::string one = bits_of(seed, dtype);
    for (const int threads : {2, 5}) {
      cpu::set_thread_count(threads);
      INFO("seed " << seed << ", " << threads << " threads, " << dtype);
      CHECK(bits_of(seed, dtype) == one);
    }
  }
  cpu::set_thread_count(before);
}

}  // namespace

TEST_CASE("random graphs pass the gradient check") { check_gradients(0, 150); }
TEST_CASE("random graphs give the same bits for any number of threads") { check_threads(0, 30); }
TEST_CASE("thousands of random graphs pass the gradient check", "[medium]") { check_gradients(150, 3000); }
TEST_CASE("hundreds of random graphs give the same bits for any number of threads", "[medium]") {
  check_threads(30, 300);
}
