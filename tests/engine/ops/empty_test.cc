// Ops of nothing: no rows, rows of no width, no keys, no groups. Each is an Error of one line or an empty (or
// zero) result with gradients to match; none divides by a size that is zero.
#include <catch2/catch.hpp>
#include <functional>

#include "engine/autograd/tape.h"
#include "engine/ops/activation.h"
#include "engine/ops/attention.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/embedding.h"
#include "engine/ops/grouped_linear.h"
#include "engine/ops/head_scale.h"
#include "engine/ops/linear.h"
#include "engine/ops/loss.h"
#include "engine/ops/norm.h"
#include "engine/ops/optimizer.h"
#include "engine/ops/reduce.h"
#include "engine/ops/rope.h"
#include "engine/ops/routing.h"
#include "engine/ops/softmax.h"
#include "engine/ops/view.h"

using namespace engine;

namespace {

using Inputs = std::vector<Tensor>;

struct EmptyCase {
  const char* what;
  std::vector<Shape> shapes;
  std::function<Tensor(const Inputs&)> run;
};

Tensor no_ids() { return Tensor::from_ids({}, {0}); }
NormArguments norm_with(const Tensor& weight) { return {.kind = NormKind::rms, .weight = weight}; }

const std::vector<EmptyCase>& cases() {
  static const std::vector<EmptyCase> all = {
      {"head_scale, no width", {{2, 0}, {2}}, [](const Inputs& t) { return head_scale(t[0], t[1]); }},
      {"head_scale, no rows", {{0, 4}, {2}}, [](const Inputs& t) { return head_scale(t[0], t[1]); }},
      {"head_scale, no heads", {{2, 4}, {0}}, [](const Inputs& t) { return head_scale(t[0], t[1]); }},
      {"norm, no width",
       {{2, 0}, {0}},
       [](const Inputs& t) { return norm(t[0], norm_with(t[1]), DType::f32); }},
      {"norm, no rows",
       {{0, 4}, {4}},
       [](const Inputs& t) { return norm(t[0], norm_with(t[1]), DType::f32); }},
      {"residual_add, no width",
       {{2, 0}, {2, 0}},
       [](const Inputs& t) { return residual_add(t[0], t[1], {}); }},
      {"residual_add, no rows",
       {{0, 3}, {0, 3}},
       [](const Inputs& t) { return residual_add(t[0], t[1], {}); }},
      {"residual_add_norm, no rows",
       {{0, 3}, {0, 3}, {3}},
       [](const Inputs& t) { return residual_add_norm(t[0], t[1], {}, norm_with(t[2]), DType::f32).second; }},
      {"activate, no width", {{3, 0}}, [](const Inputs& t) { return activate(t[0], Activation::gelu); }},
      {"glu, no rows", {{0, 3}, {0, 3}}, [](const Inputs& t) { return glu(t[0], t[1], Activation::silu); }},
      {"softmax, no width", {{3, 0}}, [](const Inputs& t) { return softmax(t[0]); }},
      {"log_softmax, no rows", {{0, 3}}, [](const Inputs& t) { return log_softmax(t[0]); }},
      {"rope, no width", {{1, 2, 0}}, [](const Inputs& t) { return rope(t[0], 1, 1e4); }},
      {"rope, no time", {{1, 0, 4}}, [](const Inputs& t) { return rope(t[0], 1, 1e4); }},
      {"rope, no batch", {{0, 2, 4}}, [](const Inputs& t) { return rope(t[0], 2, 1e4); }},
      {"attention, no width",
       {{1, 2, 0}, {1, 2, 0}, {1, 2, 0}},
       [](const Inputs& t) { return attention(t[0], t[1], t[2], {}); }},
      {"attention, no queries",
       {{1, 0, 4}, {1, 2, 4}, {1, 2, 4}},
       [](const Inputs& t) { return attention(t[0], t[1], t[2], {.heads = 2, .kv_heads = 2}); }},
      {"attention, no keys",
       {{1, 2, 4}, {1, 0, 4}, {1, 0, 4}},
       [](const Inputs& t) { return attention(t[0], t[1], t[2], {}); }},
      {"attention, no queries and no keys",
       {{1, 0, 4}, {1, 0, 4}, {1, 0, 4}},
       [](const Inputs& t) { return attention(t[0], t[1], t[2], {}); }},
      {"attention, no batch",
       {{0, 2, 4}, {0, 2, 4}, {0, 2, 4}},
       [](const Inputs& t) { return attention(t[0], t[1], t[2], {.causal = true}); }},
      {"linear, no rows", {{0, 3}, {2, 3}, {2}}, [](const Inputs& t) { return linear(t[0], t[1], t[2]); }},
      {"linear, nothing in", {{2, 0}, {3, 0}, {3}}, [](const Inputs& t) { return linear(t[0], t[1], t[2]); }},
      {"linear, nothing out",
       {{2, 3}, {0, 3}, {0}},
       [](const Inputs& t) { return linear(t[0], t[1], t[2]); }},
      {"linear, activations",
       {{2, 0}, {3, 0}},
       [](const Inputs& t) {
         return linear(t[0], t[1], {},
                       {.input_activation = Activation::gelu, .activation = Activation::gelu});
       }},
      {"linear, activations, no rows",
       {{0, 2}, {3, 2}},
       [](const Inputs& t) {
         return linear(t[0], t[1], {},
                       {.input_activation = Activation::gelu, .activation = Activation::gelu});
       }},
      {"linear, activations, nothing out",
       {{2, 3}, {0, 3}},
       [](const Inputs& t) { return linear(t[0], t[1], {}, {.input_activation = Activation::silu}); }},
      {"matmul, no inner size", {{2, 0}, {0, 3}}, [](const Inputs& t) { return matmul(t[0], t[1]); }},
      {"matmul, no batch", {{0, 2, 3}, {3, 2}}, [](const Inputs& t) { return matmul(t[0], t[1]); }},
      {"matmul, no columns", {{2, 3}, {3, 0}}, [](const Inputs& t) { return matmul(t[0], t[1]); }},
      {"grouped_linear, no rows",
       {{0, 3}, {2, 4, 3}},
       [](const Inputs& t) {
         return grouped_linear(t[0], t[1], groups_of({0, 0, 0}));
       }},
      {"grouped_linear, no groups",
       {{0, 3}, {0, 4, 3}},
       [](const Inputs& t) { return grouped_linear(t[0], t[1], groups_of({0})); }},
      {"grouped_linear, nothing out",
       {{2, 3}, {1, 0, 3}},
       [](const Inputs& t) {
         return grouped_linear(t[0], t[1], groups_of({0, 2}));
       }},
      {"grouped_linear, nothing in",
       {{2, 0}, {1, 3, 0}},
       [](const Inputs& t) {
         return grouped_linear(t[0], t[1], groups_of({0, 2}));
       }},
      {"embedding, no ids",
       {{3, 4}},
       [](const Inputs& t) { return embedding(no_ids(), t[0], 1, DType::f32); }},
      {"embedding, no width",
       {{3, 0}},
       [](const Inputs& t) {
         return embedding(Tensor::from_ids({1, 2}, {2}), t[0], 1, DType::f32);
       }},
      {"embedding, no table",
       {{0, 4}},
       [](const Inputs& t) { return embedding(no_ids(), t[0], 1, DType::f32); }},
      {"gather_rows, no rows", {{0, 4}}, [](const Inputs& t) { return gather_rows(t[0], no_ids()); }},
      {"gather_rows, no width",
       {{2, 0}},
       [](const Inputs& t) { return gather_rows(t[0], Tensor::from_ids({1}, {1})); }},
      {"scatter_rows, no rows",
       {{0, 4}, {0}},
       [](const Inputs& t) { return scatter_rows(t[0], no_ids(), t[1], 3); }},
      {"scatter_rows, no width",
       {{2, 0}, {2}},
       [](const Inputs& t) {
         return scatter_rows(t[0], Tensor::from_ids({1, 1}, {2}), t[1], 3);
       }},
      {"route_top_k, no tokens",
       {{0, 4}},
       [](const Inputs& t) { return route_top_k(t[0], 2, true).weights; }},
      {"route_top_k, no experts",
       {{2, 0}},
       [](const Inputs& t) { return route_top_k(t[0], 1, true).weights; }},
      {"sum, an empty axis", {{2, 0, 3}}, [](const Inputs& t) { return sum(t[0], 1); }},
      {"sum, empty around", {{0, 2, 3}}, [](const Inputs& t) { return sum(t[0], 1); }},
      {"sum_all", {{0}}, [](const Inputs& t) { return sum_all(t[0]); }},
      {"mean", {{2, 0}}, [](const Inputs& t) { return mean(t[0], 1); }},
      {"max_last", {{2, 0}}, [](const Inputs& t) { return max_last(t[0]); }},
      {"add", {{2, 0}, {0}}, [](const Inputs& t) { return add(t[0], t[1]); }},
      {"mul, one stretched to nothing", {{2, 0}, {1}}, [](const Inputs& t) { return mul(t[0], t[1]); }},
      {"affine", {{0, 2}}, [](const Inputs& t) { return affine(t[0], 2); }},
      {"softcap", {{0}}, [](const Inputs& t) { return softcap(t[0], 2); }},
      {"cast", {{0, 3}}, [](const Inputs& t) { return cast(t[0], DType::bf16); }},
      {"dropout",
       {{0, 3}},
       [](const Inputs& t) {
         Rng rng{1};
         return dropout(t[0], 0.5, rng);
       }},
      {"cross_entropy, no rows", {{0, 3}}, [](const Inputs& t) { return cross_entropy(t[0], no_ids()); }},
      {"cross_entropy, no classes",
       {{1, 0}},
       [](const Inputs& t) { return cross_entropy(t[0], Tensor::from_ids({kNotScored}, {1})); }},
      {"linear_cross_entropy, no rows",
       {{0, 3}, {4, 3}},
       [](const Inputs& t) { return linear_cross_entropy(t[0], t[1], {}, no_ids()); }},
      {"linear_cross_entropy, no width",
       {{2, 0}, {4, 0}},
       [](const Inputs& t) {
         return linear_cross_entropy(t[0], t[1], {}, Tensor::from_ids({1, 2}, {2}));
       }},
      {"linear_cross_entropy, none scored",
       {{1, 3}, {4, 3}},
       [](const Inputs& t) {
         return linear_cross_entropy(t[0], t[1], {}, Tensor::from_ids({kNotScored}, {1}));
       }},
      {"squared_error", {{0, 2}, {0, 2}}, [](const Inputs& t) { return squared_error(t[0], t[1]); }},
      {"slice", {{2, 3}}, [](const Inputs& t) { return contiguous(slice(t[0], 1, 1, 1)); }},
      {"split",
       {{2, 3}},
       [](const Inputs& t) {
         return split(t[0], 1, {3, 0})[1];
       }},
      {"concat",
       {{2, 0}, {2, 3}},
       [](const Inputs& t) {
         return concat({t[0], t[1]}, 1);
       }},
      {"transpose", {{0, 3}}, [](const Inputs& t) { return contiguous(transpose(t[0], 0, 1)); }},
      {"reshape",
       {{0, 3}},
       [](const Inputs& t) {
         return reshape(t[0], {3, 0});
       }},
  };
  return all;
}

}  // namespace

TEST_CASE("ops of nothing are errors or nothing") {
  for (const EmptyCase& c : cases()) {
    INFO(c.what);
    Inputs inputs;
    for (const Shape& shape : c.shapes) inputs.push_back(Tensor::full(shape, 0.5, DType::f32));
    Tape tape;
    Tensor y;
    try {
      const TapeScope scope(tape);
      for (Tensor& x : inputs) tape.watch(x);
      y = c.run(inputs);
    } catch (const Error& e) {
      CHECK(std::string(e.what()).find('\n') == std::string::npos);
      continue;
    }
    const bool loss = y.rank() == 0;
    const Tensor dy = Tensor::full(y.shape(), 1, y.dtype());
    tape.backward(std::span(&y, 1), std::span(&dy, 1));
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Tensor g = tape.gradient(inputs[i]);
      if (!g.defined()) continue;
      CHECK(g.shape() == inputs[i].shape());
      for (const double value : g.to_vector())
        CHECK((value == 0 || loss || y.numel() > 0));  // nothing was computed, so nothing depends on it
    }
  }
}

TEST_CASE("an optimizer steps over no elements") {
  const Tensor none = Tensor::zeros({0}, DType::f32);
  CHECK_NOTHROW(adamw_step(none, none, none, none, {.lr = 1e-3}));
  CHECK_NOTHROW(sgd_step(none, none, {}, {.lr = 1e-3}));
  CHECK(sum_of_squares(none) == 0);
}
