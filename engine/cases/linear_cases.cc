// Rows of the op table for engine/ops/linear.h.
#include <cmath>

#include "engine/cases/case.h"
#include "engine/ops/linear.h"

namespace engine {
namespace {

struct LinearCase {
  Shape leading;
  int64_t in, out;
  bool bias = true, residual = false;
  Activation activation = Activation::identity, input_activation = Activation::identity;
};

HostTensor reference_linear(const std::vector<HostTensor>& t, const LinearCase& c) {
  Shape shape = c.leading;
  shape.append(c.out);
  HostTensor y(shape);
  for (int64_t r = 0; r < c.leading.numel(); ++r)
    for (int64_t o = 0; o < c.out; ++o) {
      double z = c.bias ? t[2].v[size_t(o)] : 0;
      for (int64_t i = 0; i < c.in; ++i)
        z +=
            activation_value(c.input_activation, t[0].v[size_t(r * c.in + i)]) * t[1].v[size_t(o * c.in + i)];
      z = activation_value(c.activation, z);
      if (c.residual) z += t.back().v[size_t(r * c.out + o)];
      y.v[size_t(r * c.out + o)] = z;
    }
  return y;
}

void add_linear(std::vector<OpCase>& cases, const LinearCase& c) {
  Shape x = c.leading, y = c.leading;
  x.append(c.in);
  y.append(c.out);
  std::vector<CaseInput> inputs = {{"x", x}, {"weight", {c.out, c.in}}};
  if (c.bias) inputs.push_back({.name = "bias", .shape = {c.out}, .parameter = true});
  if (c.residual) inputs.push_back({"residual", y});
  const char* const names[] = {"", " gelu", " gelu_tanh", " relu", " relu2", " silu", " tanh", " sigmoid"};
  cases.push_back({.op = "linear",
                   .node = "linear",
                   .detail = join_text(x, " to ", c.out, c.bias ? " bias" : "", names[int(c.activation)],
                                       c.residual ? " residual" : "",
                                       c.input_activation != Activation::identity ? " of" : "",
                                       names[int(c.input_activation)]),
                   .inputs = inputs,
                   .run =
                       [c](const std::vector<Tensor>& t) {
                         return std::vector{linear(t[0], t[1], c.bias ? t[2] : Tensor(),
                                                   {.input_activation = c.input_activation,
                                                    .activation = c.activation,
                                                    .residual = c.residual ? t.back() : Tensor()})};
                       },
                   .reference = [c](const auto& t) { return std::vector{reference_linear(t, c)}; },
                   .reduction = std::max({c.in, c.out, c.leading.numel(), int64_t(1)})});
}

struct MatmulCase {
  Shape a, b;  // as multiplied, before any transposing
  Transpose ta = Transpose::no, tb = Transpose::no;
};

Shape stored(const Shape& shape, Transpose t) {
  Shape s = shape;
  if (t == Transpose::yes) std::swap(s[s.rank() - 1], s[s.rank() - 2]);
  return s;
}

HostTensor reference_matmul(const HostTensor& a, const HostTensor& b, const MatmulCase& c) {
  const int64_t m = c.a.at(-2), k = c.a.at(-1), n = c.b.at(-1);
  Shape shape = c.a.rank() > c.b.rank() ? c.a.leading() : c.b.leading();
  shape[shape.rank() - 1] = m;
  shape.append(n);
  HostTensor y(shape);
  const int64_t batch = shape.leading().leading().numel();
  for (int64_t i = 0; i < batch; ++i)
    for (int64_t r = 0; r < m; ++r)
      for (int64_t j = 0; j < n; ++j)
        for (int64_t p = 0; p < k; ++p) {
          const int64_t ai =
              (c.a.rank() > 2 ? i * m * k : 0) + (c.ta == Transpose::yes ? p * m + r : r * k + p);
          const int64_t bi =
              (c.b.rank() > 2 ? i * k * n : 0) + (c.tb == Transpose::yes ? j * k + p : p * n + j);
          y.v[size_t((i * m + r) * n + j)] += a.v[size_t(ai)] * b.v[size_t(bi)];
        }
  return y;
}

void add_matmul(std::vector<OpCase>& cases, const MatmulCase& c) {
  const auto mark = [](Transpose t) { return t == Transpose::yes ? "^T" : ""; };
  cases.push_back(
      {.op = "matmul",
       .node = "matmul",
       .detail = join_text(stored(c.a, c.ta), mark(c.ta), " ", stored(c.b, c.tb), mark(c.tb)),
       .inputs = {{"a", stored(c.a, c.ta)}, {"b", stored(c.b, c.tb)}},
       .run = [c](const std::vector<Tensor>& t) { return std::vector{matmul(t[0], t[1], c.ta, c.tb)}; },
       .reference = [c](const auto& t) { return std::vector{reference_matmul(t[0], t[1], c)}; },
       .reduction = std::max({c.a.at(-1), c.a.leading().numel(), c.b.at(-1), int64_t(1)})});
}

}  // namespace

void add_linear_cases(std::vector<OpCase>& cases) {
  add_linear(cases, {{2, 5}, 24, 16});
  add_linear(cases, {{2, 5}, 24, 16, false});
  add_linear(cases, {{1}, 1, 1});
  add_linear(cases, {{}, 5, 7});
  add_linear(cases, {{0, 3}, 4, 6});
  add_linear(cases, {{3}, 0, 5});
  add_linear(cases, {{3}, 4, 0});
  add_linear(cases, {{37}, 31, 19, true, false, Activation::gelu});
  add_linear(cases, {{3, 7}, 13, 37, true, true, Activation::gelu_tanh});
  add_linear(cases, {{131}, 5, 11, true, false, Activation::relu2});
  add_linear(cases, {{5, 2}, 16, 16, false, true, Activation::silu});
  add_linear(cases, {{2, 3}, 8, 8, false, true});
  add_linear(cases, {{3}, 1201, 5, true, true});  // more than one block of k

  // An activation of the input, which the backward pass computes again.
  constexpr Activation same = Activation::identity;
  add_linear(cases, {{37}, 31, 19, true, false, same, Activation::gelu});
  add_linear(cases, {{2, 3}, 16, 8, false, true, same, Activation::relu2});
  add_linear(cases, {{129}, 7, 5, true, false, Activation::silu, Activation::gelu_tanh});
  add_linear(cases, {{1}, 1, 1, true, false, same, Activation::silu});
  add_linear(cases, {{0, 3}, 4, 6, true, false, same, Activation::gelu});
  add_linear(cases, {{3}, 0, 5, true, false, same, Activation::gelu});

  constexpr Transpose no = Transpose::no, yes = Transpose::yes;
  for (Transpose ta : {no, yes})
    for (Transpose tb : {no, yes}) {
      add_matmul(cases, {{5, 7}, {7, 11}, ta, tb});
      add_matmul(cases, {{2, 3, 17, 13}, {2, 3, 13, 19}, ta, tb});
      add_matmul(cases, {{3, 6, 5}, {5, 4}, ta, tb});
      add_matmul(cases, {{6, 5}, {3, 5, 4}, ta, tb});
    }
  add_matmul(cases, {{1, 1}, {1, 1}});
  add_matmul(cases, {{0, 4}, {4, 3}});
  add_matmul(cases, {{2, 3, 0}, {2, 0, 5}});
  add_matmul(cases, {{0, 3, 2}, {0, 2, 5}});
  add_matmul(cases, {{3, 2}, {0, 2, 5}});
  add_matmul(cases, {{113, 3}, {3, 5}});  // more than one tile
  add_matmul(cases, {{3, 5}, {5, 257}});
}

// Few rows: W is read where it lies (engine/cpu/gemm_few.h).
void add_few_rows_cases(std::vector<OpCase>& cases) {
  add_linear(cases, {{1}, 67, 71, true, true, Activation::gelu});
  add_linear(cases, {{1}, 512, 260});  // by all threads
  add_linear(cases, {{3}, 53, 35, false, true});
  add_linear(cases, {{3}, 130, 350, true, false, Activation::silu});
  add_linear(cases, {{2, 4}, 50, 34, true, true, Activation::gelu_tanh});
  add_linear(cases, {{8}, 97, 171});
}

}  // namespace engine
