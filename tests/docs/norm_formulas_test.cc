// Formulas of the norms and of sublayers with them. Read first: formula.h.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/ops/elementwise.h"
#include "engine/ops/linear.h"
#include "engine/ops/norm.h"
#include "formula.h"

using namespace formulas;

// formula
// \bar x_i = r \left( g_i - \frac1n \sum_j g_j - \hat x_i\, \frac1n \sum_j g_j \hat x_j \right)
// formula
// \bar\gamma_i = \sum_t \bar y_{ti}\, \hat x_{ti} \qquad \bar\beta_i = \sum_t \bar y_{ti}
TEST_CASE("formula: LayerNorm") {
  const auto statistics = [](const HostTensor& x, int64_t t) {
    const double mean = mean_of_row(x, t);
    double variance = 0;
    for (int64_t i = 0; i < x.size(-1); ++i) variance += (x.row(t)[i] - mean) * (x.row(t)[i] - mean);
    return std::pair(mean, 1 / std::sqrt(variance / double(x.size(-1)) + kEps));
  };
  const Formula layer_norm{[&](const Hosts& x) {
                             HostTensor y = like(x[0]);
                             for (int64_t t = 0; t < y.rows(); ++t) {
                               const auto [mean, r] = statistics(x[0], t);
                               for (int64_t i = 0; i < y.size(-1); ++i)
                                 y.row(t)[i] =
                                     (x[0].row(t)[i] - mean) * r * x[1].v[size_t(i)] + x[2].v[size_t(i)];
                             }
                             return y;
                           },
                           [&](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                             Hosts d = {like(x[0]), like(x[1]), like(x[2])};
                             const int64_t n = dy.size(-1);
                             for (int64_t t = 0; t < dy.rows(); ++t) {
                               const auto [mean, r] = statistics(x[0], t);
                               std::vector<double> g(static_cast<size_t>(n)), xhat(static_cast<size_t>(n));
                               double mean_g = 0, mean_gx = 0;
                               for (size_t i = 0; i < size_t(n); ++i) {
                                 xhat[i] = (x[0].row(t)[i] - mean) * r, g[i] = dy.row(t)[i] * x[1].v[i];
                                 mean_g += g[i] / double(n), mean_gx += g[i] * xhat[i] / double(n);
                                 d[1].v[i] += dy.row(t)[i] * xhat[i];
                                 d[2].v[i] += dy.row(t)[i];
                               }
                               for (size_t i = 0; i < size_t(n); ++i)
                                 d[0].row(t)[i] = r * (g[i] - mean_g - xhat[i] * mean_gx);
                             }
                             return d;
                           }};
  check_formula(layer_norm, {numbers({3, 5}, 1), numbers({5}, 2), numbers({5}, 3)}, [](const auto& t) {
    return std::vector{
        norm(t[0], {.kind = NormKind::ln, .weight = t[1], .bias = t[2], .eps = kEps}, DType::f64)};
  });
}

namespace {

/// RMSNorm and the L2 norm: the mean or the sum of squares.
Formula scaled_to_length(bool mean) {
  const auto factor = [mean](const HostTensor& x, int64_t t) {
    double squares = 0;
    for (int64_t i = 0; i < x.size(-1); ++i) squares += x.row(t)[i] * x.row(t)[i];
    return 1 / std::sqrt(squares / (mean ? double(x.size(-1)) : 1) + kEps);
  };
  return {[factor](const Hosts& x) {
            HostTensor y = like(x[0]);
            for (int64_t t = 0; t < y.rows(); ++t)
              for (int64_t i = 0; i < y.size(-1); ++i)
                y.row(t)[i] = x[0].row(t)[i] * factor(x[0], t) * x[1].v[size_t(i)];
            return y;
          },
          [factor, mean](const Hosts& x, const HostTensor&, const HostTensor& dy) {
            Hosts d = {like(x[0]), like(x[1])};
            const int64_t n = dy.size(-1);
            for (int64_t t = 0; t < dy.rows(); ++t) {
              const double r = factor(x[0], t);
              double along = 0;
              for (int64_t i = 0; i < n; ++i) {
                const double xhat = x[0].row(t)[i] * r;
                along += dy.row(t)[i] * x[1].v[size_t(i)] * xhat / (mean ? double(n) : 1);
                d[1].v[size_t(i)] += dy.row(t)[i] * xhat;
              }
              for (int64_t i = 0; i < n; ++i)
                d[0].row(t)[i] = r * (dy.row(t)[i] * x[1].v[size_t(i)] - x[0].row(t)[i] * r * along);
            }
            return d;
          }};
}

TensorFunction norm_op(NormKind kind) {
  return [kind](const auto& t) {
    return std::vector{norm(t[0], {.kind = kind, .weight = t[1], .eps = kEps}, DType::f64)};
  };
}

}  // namespace

// formula
// \bar x_i = r \left( g_i - \hat x_i\, \frac1n \sum_j g_j \hat x_j \right)
TEST_CASE("formula: RMSNorm") {
  check_formula(scaled_to_length(true), {numbers({3, 5}, 1), numbers({5}, 2)}, norm_op(NormKind::rms));
}

// formula
// \bar x_i = r \left( g_i - \hat x_i \sum_j g_j \hat x_j \right)
TEST_CASE("formula: L2 norm") {
  check_formula(scaled_to_length(false), {numbers({3, 5}, 1), numbers({5}, 2)}, norm_op(NormKind::l2));
}

// formula
// \bar x_i = \alpha\, g_i\, (1 - \tau_i^2) \qquad \bar\alpha = \sum_{t,i} g_{ti}\, (1 - \tau_{ti}^2)\, x_{ti}
TEST_CASE("formula: DyT") {
  const Formula dyt{[](const Hosts& x) {
                      HostTensor y = like(x[0]);
                      for (int64_t t = 0; t < y.rows(); ++t)
                        for (int64_t i = 0; i < y.size(-1); ++i)
                          y.row(t)[i] = std::tanh(x[2].v[0] * x[0].row(t)[i]) * x[1].v[size_t(i)];
                      return y;
                    },
                    [](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                      Hosts d = {like(x[0]), like(x[1]), like(x[2])};
                      for (int64_t t = 0; t < dy.rows(); ++t)
                        for (int64_t i = 0; i < dy.size(-1); ++i) {
                          const double tau = std::tanh(x[2].v[0] * x[0].row(t)[i]);
                          const double g = dy.row(t)[i] * x[1].v[size_t(i)];
                          d[0].row(t)[i] = x[2].v[0] * g * (1 - tau * tau);
                          d[1].v[size_t(i)] += dy.row(t)[i] * tau;
                          d[2].v[0] += g * (1 - tau * tau) * x[0].row(t)[i];
                        }
                      return d;
                    }};
  check_formula(dyt, {numbers({3, 5}, 1), numbers({5}, 2), Tensor::from({0.7}, {})}, [](const auto& t) {
    return std::vector{norm(t[0], {.kind = NormKind::dyt, .weight = t[1], .alpha = t[2]}, DType::f64)};
  });
}

namespace {

// A sublayer whose branch is one matrix, and whose norm is RMSNorm without a gain: y = x + W n(x), or
// y = n(x + W x).
struct Sublayer {
  int64_t n;
  HostTensor weight;

  double factor(const double* x) const {
    double squares = 0;
    for (int64_t i = 0; i < n; ++i) squares += x[i] * x[i];
    return 1 / std::sqrt(squares / double(n) + kEps);
  }
  std::vector<double> normed(const double* x) const {
    std::vector<double> y(x, x + n);
    const double r = factor(x);
    for (double& v : y) v *= r;
    return y;
  }
  /// N'(x)^T g
  std::vector<double> norm_back(const double* x, const std::vector<double>& g) const {
    const double r = factor(x);
    double along = 0;
    for (int64_t i = 0; i < n; ++i) along += g[size_t(i)] * x[i] * r / double(n);
    std::vector<double> d(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) d[size_t(i)] = r * (g[size_t(i)] - x[i] * r * along);
    return d;
  }
  std::vector<double> branch(const double* x) const {
    std::vector<double> y(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) y[size_t(i)] += weight.row(i)[j] * x[j];
    return y;
  }
  /// f'(x)^T g
  std::vector<double> branch_back(const double* g) const {
    std::vector<double> d(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) d[size_t(j)] += weight.row(i)[j] * g[i];
    return d;
  }
};

Tensor rms(const Tensor& x) {
  const Tensor ones = Tensor::full({x.size(-1)}, 1, DType::f64);
  return norm(x, {.kind = NormKind::rms, .weight = ones, .eps = kEps}, DType::f64);
}

}  // namespace

// formula
// \bar x = \bar y + N'(x)^\top f'(u)^\top \bar y
TEST_CASE("formula: a pre-norm sublayer") {
  const Tensor w = numbers({4, 4}, 5);
  const Sublayer s{4, to_host(w)};
  const Formula pre{[&](const Hosts& x) {
                      HostTensor y = x[0];
                      for (int64_t t = 0; t < y.rows(); ++t) {
                        const auto o = s.branch(s.normed(x[0].row(t)).data());
                        for (int64_t i = 0; i < s.n; ++i) y.row(t)[i] += o[size_t(i)];
                      }
                      return y;
                    },
                    [&](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                      Hosts d = {dy};
                      for (int64_t t = 0; t < dy.rows(); ++t) {
                        const auto more = s.norm_back(x[0].row(t), s.branch_back(dy.row(t)));
                        for (int64_t i = 0; i < s.n; ++i) d[0].row(t)[i] += more[size_t(i)];
                      }
                      return d;
                    }};
  check_formula(pre, {numbers({3, 4}, 1)},
                [&](const auto& t) { return std::vector{add(t[0], linear(rms(t[0]), w))}; });
}

// formula
// \bar x = \bar s + f'(x)^\top \bar s \qquad \bar s = N'(s)^\top \bar y \qquad s = x + f(x)
TEST_CASE("formula: a post-norm sublayer") {
  const Tensor w = numbers({4, 4}, 5);
  const Sublayer s{4, to_host(w)};
  const auto joined = [&](const double* x) {
    auto sum = s.branch(x);
    for (int64_t i = 0; i < s.n; ++i) sum[size_t(i)] += x[i];
    return sum;
  };
  const Formula post{[&](const Hosts& x) {
                       HostTensor y = like(x[0]);
                       for (int64_t t = 0; t < y.rows(); ++t) {
                         const auto o = s.normed(joined(x[0].row(t)).data());
                         for (int64_t i = 0; i < s.n; ++i) y.row(t)[i] = o[size_t(i)];
                       }
                       return y;
                     },
                     [&](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                       Hosts d = {like(x[0])};
                       for (int64_t t = 0; t < dy.rows(); ++t) {
                         const std::vector<double> g(dy.row(t), dy.row(t) + s.n);
                         const auto ds = s.norm_back(joined(x[0].row(t)).data(), g);
                         const auto more = s.branch_back(ds.data());
                         for (int64_t i = 0; i < s.n; ++i) d[0].row(t)[i] = ds[size_t(i)] + more[size_t(i)];
                       }
                       return d;
                     }};
  check_formula(post, {numbers({3, 4}, 1)},
                [&](const auto& t) { return std::vector{rms(add(t[0], linear(t[0], w)))}; });
}

// formula
// \bar s_i = \lambda_i\, \bar y_i \qquad \bar\lambda_i = \sum_t \bar y_{ti}\, s_{ti} \qquad \bar o_i = \bar
// y_i
TEST_CASE("formula: a scaled residual") {
  const Formula join{[](const Hosts& x) {
                       HostTensor y = x[1];
                       for (int64_t t = 0; t < y.rows(); ++t)
                         for (int64_t i = 0; i < y.size(-1); ++i)
                           y.row(t)[i] += x[2].v[size_t(i)] * x[0].row(t)[i];
                       return y;
                     },
                     [](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                       Hosts d = {like(x[0]), dy, like(x[2])};
                       for (int64_t t = 0; t < dy.rows(); ++t)
                         for (int64_t i = 0; i < dy.size(-1); ++i) {
                           d[0].row(t)[i] = x[2].v[size_t(i)] * dy.row(t)[i];
                           d[2].v[size_t(i)] += dy.row(t)[i] * x[0].row(t)[i];
                         }
                       return d;
                     }};
  check_formula(join, {numbers({3, 4}, 1), numbers({3, 4}, 2), numbers({4}, 3)}, [](const auto& t) {
    return std::vector{residual_add(t[0], t[1], {.res = {.learned = t[2]}})};
  });
}
