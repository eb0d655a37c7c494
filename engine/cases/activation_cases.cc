// Rows of the op table for engine/ops/activation.h.
#include <algorithm>
#include <cmath>

#include "engine/cases/case.h"
#include "engine/ops/activation.h"

namespace engine {
namespace {

double normal_distribution(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }
double logistic(double x) { return 1 / (1 + std::exp(-x)); }

struct Formula {
  Activation activation;
  double (*value)(double);
};
const Formula kFormulas[] = {
    // in the order of Activation
    {Activation::identity, [](double x) { return x; }},
    {Activation::gelu, [](double x) { return x * normal_distribution(x); }},
    {Activation::gelu_tanh,
     [](double x) {
       return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
     }},
    {Activation::relu, [](double x) { return std::max(x, 0.0); }},
    {Activation::relu2, [](double x) { return std::max(x, 0.0) * std::max(x, 0.0); }},
    {Activation::silu, [](double x) { return x * logistic(x); }},
    {Activation::tanh, [](double x) { return std::tanh(x); }},
    {Activation::sigmoid, logistic},
};

constexpr int64_t kTerms = 9;
constexpr const char* kReason = "the f32 value is a sum of 9 terms (erfc, tanh, exp are polynomials)";

}  // namespace

double activation_value(Activation activation, double x) { return kFormulas[int(activation)].value(x); }

void add_activation_cases(std::vector<OpCase>& cases) {
  for (const Formula& formula : kFormulas) {
    const auto act = formula.activation;
    const auto value = formula.value;
    const bool kinked = act == Activation::relu || act == Activation::relu2;
    const auto draw = [&](const Shape& shape) {
      if (!kinked) return Draw::normal;
      return shape.numel() == 1 ? Draw::positive : Draw::away;  // a single one must not sit on the flat side
    };
    for (const Shape& shape : {Shape{2, 5, 24}, Shape{1}, Shape{0, 3}, Shape{3, 211}})
      cases.push_back({.op = name_of(act),
                       .node = "activate",
                       .detail = join_text(shape),
                       .inputs = {{"x", shape, draw(shape)}},
                       .run = [act](const auto& t) { return std::vector{activate(t[0], act)}; },
                       .reference =
                           [value](const auto& t) {
                             HostTensor y = t[0];
                             for (double& x : y.v) x = value(x);
                             return std::vector{y};
                           },
                       .reduction = kTerms,
                       .reason = kReason});
    for (const Shape& shape : {Shape{3, 24}, Shape{1, 1}, Shape{2, 0}, Shape{5, 31}})
      cases.push_back({.op = std::string("glu ") + name_of(act),
                       .node = "glu",
                       .detail = join_text(shape),
                       .inputs = {{"gate", shape, draw(shape)}, {"up", shape}},
                       .run = [act](const auto& t) { return std::vector{glu(t[0], t[1], act)}; },
                       .reference =
                           [value](const auto& t) {
                             HostTensor y = t[0];
                             for (size_t i = 0; i < y.v.size(); ++i) y.v[i] = value(t[0].v[i]) * t[1].v[i];
                             return std::vector{y};
                           },
                       .reduction = kTerms,
                       .reason = kReason});
  }
}

}  // namespace engine
