// The backward formulas of the pages, but those of norms (norm_formulas_test.cc). check_formulas.py holds the
// comments behind `// formula` against the pages. Read first: formula.h.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/ops/activation.h"
#include "engine/ops/attention.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/embedding.h"
#include "engine/ops/head_scale.h"
#include "engine/ops/linear.h"
#include "engine/ops/loss.h"
#include "engine/ops/reduce.h"
#include "engine/ops/rope.h"
#include "engine/ops/softmax.h"
#include "engine/ops/view.h"
#include "formula.h"

using namespace formulas;

// formula
// \bar a_i = \bar y_i\, b_i \qquad \bar b_i = \bar y_i\, a_i
TEST_CASE("formula: a product") {
  const Formula product{[](const Hosts& x) {
                          HostTensor y = like(x[0]);
                          for (size_t i = 0; i < y.v.size(); ++i) y.v[i] = x[0].v[i] * x[1].v[i];
                          return y;
                        },
                        [](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                          Hosts d = {like(x[0]), like(x[1])};
                          for (size_t i = 0; i < dy.v.size(); ++i)
                            d[0].v[i] = dy.v[i] * x[1].v[i], d[1].v[i] = dy.v[i] * x[0].v[i];
                          return d;
                        }};
  check_formula(product, {numbers({5}, 1), numbers({5}, 2)},
                [](const auto& t) { return std::vector{mul(t[0], t[1])}; });
}

// formula
// \bar x_i = \bar y\quad\text{for every } i
TEST_CASE("formula: a sum") {
  const Formula total{[](const Hosts& x) {
                        HostTensor y{Shape{}};
                        for (double v : x[0].v) y.v[0] += v;
                        return y;
                      },
                      [](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                        Hosts d = {like(x[0])};
                        for (double& v : d[0].v) v = dy.v[0];
                        return d;
                      }};
  check_formula(total, {numbers({2, 3}, 1)}, [](const auto& t) { return std::vector{sum_all(t[0])}; });
}

// formula
// \bar A = \bar Y B^\top \qquad \bar B = A^\top \bar Y
TEST_CASE("formula: a product of matrices") {
  const Formula product{[](const Hosts& x) {
                          HostTensor y({x[0].size(0), x[1].size(1)});
                          for (int64_t i = 0; i < y.size(0); ++i)
                            for (int64_t j = 0; j < y.size(1); ++j)
                              for (int64_t p = 0; p < x[1].size(0); ++p)
                                y.row(i)[j] += x[0].row(i)[p] * x[1].row(p)[j];
                          return y;
                        },
                        [](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                          Hosts d = {like(x[0]), like(x[1])};
                          for (int64_t i = 0; i < dy.size(0); ++i)
                            for (int64_t j = 0; j < dy.size(1); ++j)
                              for (int64_t p = 0; p < x[1].size(0); ++p) {
                                d[0].row(i)[p] += dy.row(i)[j] * x[1].row(p)[j];
                                d[1].row(p)[j] += x[0].row(i)[p] * dy.row(i)[j];
                              }
                          return d;
                        }};
  check_formula(product, {numbers({2, 3}, 1), numbers({3, 4}, 2)},
                [](const auto& t) { return std::vector{matmul(t[0], t[1])}; });
}

// formula
// \bar x = \frac{\bar y}{1 + e^{-x}}
TEST_CASE("formula: softplus") {
  const Formula softplus{[](const Hosts& x) {
                           HostTensor y = like(x[0]);
                           for (size_t i = 0; i < y.v.size(); ++i) y.v[i] = std::log1p(std::exp(x[0].v[i]));
                           return y;
                         },
                         [](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                           Hosts d = {like(x[0])};
                           for (size_t i = 0; i < dy.v.size(); ++i)
                             d[0].v[i] = dy.v[i] / (1 + std::exp(-x[0].v[i]));
                           return d;
                         }};
  check_formula(softplus, {numbers({7}, 1)},
                [](const auto& t) { return std::vector{log(affine(engine::exp(t[0]), 1, 1))}; });
}

// formula
// \bar x_{rhj} = g_h\, \bar y_{rhj} \qquad \bar g_h = \sum_{r,j} \bar y_{rhj}\, x_{rhj}
TEST_CASE("formula: head scale") {
  const int64_t heads = 3, n = 2;
  const Formula scale{[&](const Hosts& x) {
                        HostTensor y = like(x[0]);
                        for (int64_t r = 0; r < y.rows(); ++r)
                          for (int64_t h = 0; h < heads; ++h)
                            for (int64_t j = 0; j < n; ++j)
                              y.row(r)[h * n + j] = x[1].v[size_t(h)] * x[0].row(r)[h * n + j];
                        return y;
                      },
                      [&](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                        Hosts d = {like(x[0]), like(x[1])};
                        for (int64_t r = 0; r < dy.rows(); ++r)
                          for (int64_t h = 0; h < heads; ++h)
                            for (int64_t j = 0; j < n; ++j) {
                              d[0].row(r)[h * n + j] = x[1].v[size_t(h)] * dy.row(r)[h * n + j];
                              d[1].v[size_t(h)] += dy.row(r)[h * n + j] * x[0].row(r)[h * n + j];
                            }
                        return d;
                      }};
  check_formula(scale, {numbers({4, heads * n}, 1), numbers({heads}, 2)},
                [](const auto& t) { return std::vector{head_scale(t[0], t[1])}; });
}

namespace {

HostTensor softmax_of(const HostTensor& s) {
  HostTensor p = like(s);
  for (int64_t r = 0; r < s.rows(); ++r) {
    double total = 0;
    for (int64_t i = 0; i < s.size(-1); ++i) total += p.row(r)[i] = std::exp(s.row(r)[i]);
    for (int64_t i = 0; i < s.size(-1); ++i) p.row(r)[i] /= total;
  }
  return p;
}

}  // namespace

// formula
// \bar s_i = p_i \left( \bar p_i - \sum_j \bar p_j\, p_j \right)
TEST_CASE("formula: softmax") {
  const Formula soft{[](const Hosts& x) { return softmax_of(x[0]); },
                     [](const Hosts&, const HostTensor& p, const HostTensor& dp) {
                       Hosts d = {like(p)};
                       for (int64_t r = 0; r < p.rows(); ++r) {
                         double sum = 0;
                         for (int64_t j = 0; j < p.size(-1); ++j) sum += dp.row(r)[j] * p.row(r)[j];
                         for (int64_t i = 0; i < p.size(-1); ++i)
                           d[0].row(r)[i] = p.row(r)[i] * (dp.row(r)[i] - sum);
                       }
                       return d;
                     }};
  check_formula(soft, {numbers({3, 4}, 1)}, [](const auto& t) { return std::vector{softmax(t[0])}; });
}

namespace {

// One head, causal: scores, weights and the output of q, k, v [T, n].
HostTensor causal_weights(const HostTensor& q, const HostTensor& k, double scale) {
  HostTensor s({q.size(0), k.size(0)});
  for (int64_t t = 0; t < q.size(0); ++t)
    for (int64_t u = 0; u < k.size(0); ++u) {
      double dot = 0;
      for (int64_t i = 0; i < q.size(1); ++i) dot += q.row(t)[i] * k.row(u)[i];
      s.row(t)[u] = u <= t ? scale * dot : -INFINITY;
    }
  return softmax_of(s);
}

HostTensor attended(const Hosts& x, double scale) {
  const HostTensor p = causal_weights(x[0], x[1], scale);
  HostTensor o = like(x[2]);
  for (int64_t t = 0; t < o.size(0); ++t)
    for (int64_t u = 0; u <= t; ++u)
      for (int64_t i = 0; i < o.size(1); ++i) o.row(t)[i] += p.row(t)[u] * x[2].row(u)[i];
  return o;
}

double row_product(const HostTensor& a, int64_t i, const HostTensor& b, int64_t j) {
  double sum = 0;
  for (int64_t c = 0; c < a.size(1); ++c) sum += a.row(i)[c] * b.row(j)[c];
  return sum;
}

/// dq, dk, dv; `inner` gives sum_j dp_tj p_tj of a query.
template <class Inner>
Hosts attention_back(const Hosts& x, const HostTensor& dout, double scale, Inner inner) {
  const HostTensor p = causal_weights(x[0], x[1], scale);
  Hosts d = {like(x[0]), like(x[1]), like(x[2])};
  for (int64_t t = 0; t < p.size(0); ++t) {
    const double sum = inner(p, t);
    for (int64_t u = 0; u <= t; ++u) {
      const double dp = row_product(dout, t, x[2], u);
      const double ds = p.row(t)[u] * (dp - sum);
      for (int64_t i = 0; i < dout.size(1); ++i) {
        d[2].row(u)[i] += p.row(t)[u] * dout.row(t)[i];
        d[0].row(t)[i] += scale * ds * x[1].row(u)[i];
        d[1].row(u)[i] += scale * ds * x[0].row(t)[i];
      }
    }
  }
  return d;
}

void check_attention(const Formula& formula, double scale) {
  const int64_t T = 5, n = 3;
  check_formula(formula, {numbers({T, n}, 1), numbers({T, n}, 2), numbers({T, n}, 3)}, [&](const auto& t) {
    const auto batch = [&](const Tensor& x) { return reshape(x, {1, T, n}); };
    return std::vector{
        reshape(attention(batch(t[0]), batch(t[1]), batch(t[2]), {.causal = true, .scale = scale}), {T, n})};
  });
}

}  // namespace

// formula
// \begin{aligned}
// \bar v_u &= \sum_t p_{tu}\, \bar o_t & \bar p_{tu} &= \bar o_t \cdot v_u
// \\ \bar s_{tu} &= p_{tu} \Big( \bar p_{tu} - \sum_w \bar p_{tw}\, p_{tw} \Big) &&
// \\ \bar q_t &= c \sum_u \bar s_{tu}\, k_u & \bar k_u &= c \sum_t \bar s_{tu}\, q_t
// \end{aligned}
TEST_CASE("formula: attention") {
  const double scale = 1 / std::sqrt(3.0);
  const Formula formula{[&](const Hosts& x) { return attended(x, scale); },
                        [&](const Hosts& x, const HostTensor&, const HostTensor& dout) {
                          return attention_back(x, dout, scale, [&](const HostTensor& p, int64_t t) {
                            double sum = 0;
                            for (int64_t u = 0; u <= t; ++u)
                              sum += row_product(dout, t, x[2], u) * p.row(t)[u];
                            return sum;
                          });
                        }};
  check_attention(formula, scale);
}

// formula
// \bar s_{tu} = p_{tu} \left( \bar o_t \cdot v_u - D_t \right) \qquad D_t = \bar o_t \cdot o_t
TEST_CASE("formula: attention by tiles") {
  const double scale = 0.4;
  const Formula formula{[&](const Hosts& x) { return attended(x, scale); },
                        [&](const Hosts& x, const HostTensor& o, const HostTensor& dout) {
                          return attention_back(x, dout, scale, [&](const HostTensor&, int64_t t) {
                            return row_product(dout, t, o, t);
                          });
                        }};
  check_attention(formula, scale);
}

// formula
// \bar x = \bar y\, W \qquad \bar W = \bar y^\top x \qquad \bar b_j = \sum_t \bar y_{tj}
TEST_CASE("formula: a linear layer") {
  const Formula layer{[](const Hosts& x) {
                        HostTensor y({x[0].size(0), x[1].size(0)});
                        for (int64_t t = 0; t < y.size(0); ++t)
                          for (int64_t j = 0; j < y.size(1); ++j)
                            y.row(t)[j] = row_product(x[0], t, x[1], j) + x[2].v[size_t(j)];
                        return y;
                      },
                      [](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                        Hosts d = {like(x[0]), like(x[1]), like(x[2])};
                        for (int64_t t = 0; t < dy.size(0); ++t)
                          for (int64_t j = 0; j < dy.size(1); ++j) {
                            d[2].v[size_t(j)] += dy.row(t)[j];
                            for (int64_t i = 0; i < x[0].size(1); ++i) {
                              d[0].row(t)[i] += dy.row(t)[j] * x[1].row(j)[i];
                              d[1].row(j)[i] += dy.row(t)[j] * x[0].row(t)[i];
                            }
                          }
                        return d;
                      }};
  check_formula(layer, {numbers({4, 3}, 1), numbers({2, 3}, 2), numbers({2}, 3)},
                [](const auto& t) { return std::vector{linear(t[0], t[1], t[2])}; });
}

// formula
// \bar z_{tj} = p_{tj} - [\,j = y_t\,]
TEST_CASE("formula: cross-entropy") {
  const std::vector<int32_t> labels = {2, 0, 3};
  const Formula loss{[&](const Hosts& x) {
                       HostTensor total{Shape{}};
                       const HostTensor p = softmax_of(x[0]);
                       for (int64_t t = 0; t < p.rows(); ++t)
                         total.v[0] -= std::log(p.row(t)[labels[size_t(t)]]);
                       return total;
                     },
                     [&](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                       Hosts d = {softmax_of(x[0])};
                       for (int64_t t = 0; t < d[0].rows(); ++t) {
                         d[0].row(t)[labels[size_t(t)]] -= 1;
                         for (int64_t j = 0; j < d[0].size(-1); ++j) d[0].row(t)[j] *= dy.v[0];
                       }
                       return d;
                     }};
  check_formula(loss, {numbers({3, 4}, 1)}, [&](const auto& t) {
    return std::vector{cross_entropy(t[0], Tensor::from_ids(labels, {3}))};
  });
}

// formula
// \bar E_v = \sum_{t:\; i_t = v} \bar x_t
TEST_CASE("formula: an embedding") {
  const std::vector<int32_t> ids = {1, 3, 1, 0};
  const Formula lookup{[&](const Hosts& x) {
                         HostTensor y({4, x[0].size(1)});
                         for (int64_t t = 0; t < 4; ++t)
                           for (int64_t i = 0; i < y.size(1); ++i) y.row(t)[i] = x[0].row(ids[size_t(t)])[i];
                         return y;
                       },
                       [&](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                         Hosts d = {like(x[0])};
                         for (int64_t t = 0; t < 4; ++t)
                           for (int64_t i = 0; i < dy.size(1); ++i)
                             d[0].row(ids[size_t(t)])[i] += dy.row(t)[i];
                         return d;
                       }};
  check_formula(lookup, {numbers({5, 3}, 1)}, [&](const auto& t) {
    return std::vector{embedding(Tensor::from_ids(ids, {4}), t[0], 1, DType::f64)};
  });
}

// formula
// \bar x = \bar y \left( \Phi(x) + x\, \varphi(x) \right)
TEST_CASE("formula: gelu") {
  const auto Phi = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  const auto phi = [](double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); };
  const Formula gelu{[&](const Hosts& x) {
                       HostTensor y = like(x[0]);
                       for (size_t i = 0; i < y.v.size(); ++i) y.v[i] = x[0].v[i] * Phi(x[0].v[i]);
                       return y;
                     },
                     [&](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                       Hosts d = {like(x[0])};
                       for (size_t i = 0; i < dy.v.size(); ++i)
                         d[0].v[i] = dy.v[i] * (Phi(x[0].v[i]) + x[0].v[i] * phi(x[0].v[i]));
                       return d;
                     }};
  check_formula(gelu, {numbers({9}, 1)},
                [](const auto& t) { return std::vector{activate(t[0], Activation::gelu)}; });
}

// formula
// \bar g_i = \bar y_i\, u_i\, a'(g_i) \qquad \bar u_i = \bar y_i\, a(g_i)
TEST_CASE("formula: a gated activation") {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto silu = [&](double x) { return x * sigmoid(x); };
  const auto slope = [&](double x) { return sigmoid(x) * (1 + x * (1 - sigmoid(x))); };
  const Formula gated{[&](const Hosts& x) {
                        HostTensor y = like(x[0]);
                        for (size_t i = 0; i < y.v.size(); ++i) y.v[i] = silu(x[0].v[i]) * x[1].v[i];
                        return y;
                      },
                      [&](const Hosts& x, const HostTensor&, const HostTensor& dy) {
                        Hosts d = {like(x[0]), like(x[1])};
                        for (size_t i = 0; i < dy.v.size(); ++i) {
                          d[0].v[i] = dy.v[i] * x[1].v[i] * slope(x[0].v[i]);
                          d[1].v[i] = dy.v[i] * silu(x[0].v[i]);
                        }
                        return d;
                      }};
  check_formula(gated, {numbers({7}, 1), numbers({7}, 2)},
                [](const auto& t) { return std::vector{glu(t[0], t[1], Activation::silu)}; });
}

// formula
// \begin{aligned}
// y_i &= x_i \cos\theta - x_j \sin\theta & \bar x_i &= \bar y_i \cos\theta + \bar y_j \sin\theta
// \\ y_j &= x_j \cos\theta + x_i \sin\theta & \bar x_j &= \bar y_j \cos\theta - \bar y_i \sin\theta
// \end{aligned}
TEST_CASE("formula: rotary positions") {
  const int64_t T = 3, n = 4;  // one head; pairs (0, 2) and (1, 3), turned by t and by t / 100
  const auto turned = [&](const HostTensor& x, double direction) {
    HostTensor y = like(x);
    for (int64_t t = 0; t < T; ++t)
      for (int64_t i = 0; i < n / 2; ++i) {
        const double theta = direction * double(t) * std::pow(1e4, -2 * double(i) / double(n));
        const double a = x.row(t)[i], b = x.row(t)[i + n / 2];
        y.row(t)[i] = a * std::cos(theta) - b * std::sin(theta);
        y.row(t)[i + n / 2] = b * std::cos(theta) + a * std::sin(theta);
      }
    return y;
  };
  const Formula rotary{
      [&](const Hosts& x) { return turned(x[0], 1); },
      [&](const Hosts&, const HostTensor&, const HostTensor& dy) { return Hosts{turned(dy, -1)}; }};
  check_formula(rotary, {numbers({T, n}, 1)}, [&](const auto& t) {
    return std::vector{reshape(rope(reshape(t[0], {1, T, n}), 1, 1e4), {T, n})};
  });
}

// formula
// \bar x_i = \bar y_i\, \frac{m_i}{1 - p}
TEST_CASE("formula: dropout") {
  const double p = 0.4;
  const auto dropped = [&](const Tensor& x) {
    Rng rng{3};
    return dropout(x, p, rng);
  };
  const HostTensor factors = to_host(dropped(Tensor::full({20}, 1, DType::f64)));  // m / (1 - p)
  const auto times = [&](const HostTensor& x) {
    HostTensor y = like(x);
    for (size_t i = 0; i < y.v.size(); ++i) y.v[i] = x.v[i] * factors.v[i];
    return y;
  };
  const Formula formula{
      [&](const Hosts& x) { return times(x[0]); },
      [&](const Hosts&, const HostTensor&, const HostTensor& dy) { return Hosts{times(dy)}; }};
  check_formula(formula, {numbers({20}, 1)}, [&](const auto& t) { return std::vector{dropped(t[0])}; });
}
