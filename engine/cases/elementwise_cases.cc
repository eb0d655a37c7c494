// Rows of the op table for engine/ops/elementwise.h. cast() has none: differences of 1e-6 do not survive its
// rounding; elementwise_test.cc checks it.
#include <algorithm>
#include <cmath>

#include "engine/cases/case.h"
#include "engine/ops/elementwise.h"

namespace engine {
namespace {

// The element of `t` that meets position `i` of a tensor of `shape` under broadcasting.
double stretched(const HostTensor& t, const Shape& shape, int64_t i) {
  int64_t at = 0, stride = 1;
  for (int axis = 1; axis <= t.shape.rank(); ++axis) {
    const int64_t n = shape.at(-axis), index = i % n;
    i /= n;
    if (t.size(-axis) != 1) at += index * stride;
    stride *= t.size(-axis);
  }
  return t.v[size_t(at)];
}

struct Binary {
  const char* name;
  Tensor (*run)(const Tensor&, const Tensor&);
  double (*value)(double, double);
};
const Binary kBinary[] = {
    {"add", add, [](double a, double b) { return a + b; }},
    {"sub", sub, [](double a, double b) { return a - b; }},
    {"mul", mul, [](double a, double b) { return a * b; }},
    {"div", div, [](double a, double b) { return a / b; }},
};

struct Stretch {
  Shape a, b, y;
};
const Stretch kStretches[] = {
    {{2, 3, 5}, {2, 3, 5}, {2, 3, 5}},
    {{7, 11}, {11}, {7, 11}},
    {{7, 11}, {7, 1}, {7, 11}},
    {{3, 1, 5}, {4, 1}, {3, 4, 5}},
    {{1, 4, 1}, {3, 1, 5}, {3, 4, 5}},
    {{13, 67}, {}, {13, 67}},
    {{1}, {1}, {1}},
    {{0, 3}, {1, 3}, {0, 3}},
    {{2, 523}, {523}, {2, 523}},
};

struct Unary {
  const char* name;
  Tensor (*run)(const Tensor&);
  double (*value)(double);
  Draw draw = Draw::positive;
};
const Unary kUnary[] = {
    {"affine", [](const Tensor& x) { return affine(x, -1.75, 0.5); },
     [](double x) { return 0.5 - 1.75 * x; }},
    {"exp", exp, [](double x) { return std::exp(x); }},
    {"log", log, [](double x) { return std::log(x); }},
    {"sqrt", sqrt, [](double x) { return std::sqrt(x); }},
    {"square", square, [](double x) { return x * x; }},
    {"abs", abs, [](double x) { return std::fabs(x); }, Draw::away},
    {"softcap", [](const Tensor& x) { return softcap(x, 1.5); },
     [](double x) { return 1.5 * std::tanh(x / 1.5); }},
};

// The mask as the formula says it: word i % 4 of block i / 4, kept when at least p.
double mask(uint64_t seed, uint64_t first_block, double p, size_t i) {
  return unit_float(philox(seed, first_block + i / 4).word[i % 4]) >= p ? 1 / (1 - p) : 0;
}

}  // namespace

void add_elementwise_cases(std::vector<OpCase>& cases) {
  for (const Binary& op : kBinary)
    for (const Stretch& s : kStretches)
      cases.push_back({.op = op.name,
                       .node = "binary",
                       .detail = join_text(s.a, " and ", s.b),
                       .inputs = {{"a", s.a}, {"b", s.b, Draw::away}},
                       .run = [run = op.run](const auto& t) { return std::vector{run(t[0], t[1])}; },
                       .reference =
                           [s, value = op.value](const auto& t) {
                             HostTensor y(s.y);
                             for (size_t i = 0; i < y.v.size(); ++i)
                               y.v[i] =
                                   value(stretched(t[0], s.y, int64_t(i)), stretched(t[1], s.y, int64_t(i)));
                             return std::vector{y};
                           },
                       .reduction = std::max<int64_t>(s.y.numel(), 1)});
  for (const Unary& op : kUnary)
    for (const Shape& shape : {Shape{3, 5, 7}, Shape{}, Shape{1}, Shape{0, 2}, Shape{523}})
      cases.push_back({.op = op.name,
                       .node = "unary",
                       .detail = join_text(shape),
                       .inputs = {{"x", shape, op.draw}},
                       .run = [run = op.run](const auto& t) { return std::vector{run(t[0])}; },
                       .reference =
                           [value = op.value](const auto& t) {
                             HostTensor y = t[0];
                             for (double& x : y.v) x = value(x);
                             return std::vector{y};
                           },
                       .reduction = 9,
                       .reason = "the f32 functions are sums of up to 9 terms"});
  for (const Shape& shape : {Shape{5, 211}, Shape{1}, Shape{0, 4}, Shape{3, 5, 7}})
    for (double p : {0.1, 0.5}) {
      if (shape.numel() == 1 && p > 0.3) continue;  // this seed drops the only element
      cases.push_back({.op = "dropout",
                       .node = "dropout",
                       .detail = join_text("p = ", p, " ", shape),
                       .inputs = {{"x", shape}},
                       .run =
                           [p](const auto& t) {
                             Rng rng{42, 1000};
                             return std::vector{dropout(t[0], p, rng)};
                           },
                       .reference =
                           [p](const auto& t) {
                             HostTensor y = t[0];
                             for (size_t i = 0; i < y.v.size(); ++i) y.v[i] *= mask(42, 1000, p, i);
                             return std::vector{y};
                           }});
    }
}

}  // namespace engine
