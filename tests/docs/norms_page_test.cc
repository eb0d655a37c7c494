// The answers to the exercises of docs/04-norms.md.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/autograd/tape.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/norm.h"
#include "engine/ops/reduce.h"
#include "nn/norm_spec.h"

using namespace engine;

namespace {

Tensor plain_norm(const Tensor& x, NormKind kind) {
  const Tensor ones = Tensor::full({x.size(-1)}, 1, DType::f64);
  return norm(x, {.kind = kind, .weight = ones, .eps = 1e-12}, DType::f64);
}
Tensor layer_norm(const Tensor& x) { return plain_norm(x, NormKind::ln); }
Tensor rms_norm(const Tensor& x) { return plain_norm(x, NormKind::rms); }

/// The gradient of <y, (1, -2, 3, 5)> through LayerNorm at factor * (1, 2, 4, 9).
std::vector<double> norm_gradient(double factor) {
  Tensor x = Tensor::from({factor, 2 * factor, 4 * factor, 9 * factor}, {1, 4}), loss;
  Tape tape;
  {
    TapeScope scope(tape);
    tape.watch(x);
    loss = sum_all(mul(layer_norm(x), Tensor::from({1, -2, 3, 5}, {4})));
  }
  tape.backward(loss);
  return tape.gradient(x).to_vector();
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}
double sum_of(const std::vector<double>& a) { return dot(a, std::vector<double>(a.size(), 1)); }

bool close(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector(), y = b.to_vector();
  for (size_t i = 0; i < x.size(); ++i)
    if (!(std::fabs(x[i] - y[i]) < 1e-9)) return false;
  return x.size() == y.size();
}

}  // namespace

TEST_CASE("exercise 4.1: LayerNorm by hand") {
  const auto y = layer_norm(Tensor::from({1, 2, 3, 4}, {1, 4})).to_vector();
  CHECK(y[0] == Approx(-1.342).epsilon(1e-3));
  CHECK(y[1] == Approx(-0.447).epsilon(1e-3));
}

TEST_CASE("exercise 4.2: what LayerNorm takes out of a gradient") {
  const auto dx = norm_gradient(1), xhat = layer_norm(Tensor::from({1, 2, 4, 9}, {1, 4})).to_vector();
  CHECK(std::fabs(sum_of(dx)) < 1e-12);
  CHECK(std::fabs(dot(dx, xhat)) < 1e-9);
}

TEST_CASE("exercise 4.3: gradients are divided by the size of the input") {
  const auto once = norm_gradient(1), ten_times = norm_gradient(10);
  for (size_t i = 0; i < once.size(); ++i) CHECK(ten_times[i] == Approx(once[i] / 10).epsilon(1e-4));
}

TEST_CASE("exercise 4.4: LayerNorm is RMSNorm of the row less its mean") {
  const Tensor x = Tensor::from({1, 2, 4, 9}, {1, 4});
  CHECK(close(layer_norm(x), rms_norm(sub(x, mean(x, -1, true)))));
}

TEST_CASE("exercise 4.5: a placement by layers") {
  const nn::NormSpec spec = nn::parse_norm_spec(
      "attn{in=rms q=rms.head k=rms.head} ffn{in=rms} final=rms; "
      "0%..50%: attn{q=rms.head k=rms.head post=rms} ffn{post=rms}");
  const auto layers = nn::resolve_layers(spec, 8);
  CHECK((layers[3].attn.post && !layers[3].attn.in && layers[3].attn.q));
  CHECK((layers[4].attn.in && !layers[4].attn.post && layers[4].attn.q));
}
