// Rows of the op table for engine/ops/norm.h: every kind, blocks, offsets; joins with every kind of factor.
#include <cmath>

#include "engine/cases/case.h"
#include "engine/ops/norm.h"

namespace engine {
namespace {

struct Settings {
  NormKind kind;
  Shape shape;
  int64_t groups = 1;
  bool bias = false;
  double gain_offset = 0;
  double eps = 1e-5;
  Activation activation = Activation::identity;
  int64_t n() const { return shape.back() / groups; }
};

const char* name_of(NormKind kind) {
  const char* names[] = {"none", "ln", "rms", "dyt", "l2"};
  return names[int(kind)];
}

// One block by the formulas of norm.h.
void normalise(const Settings& s, const double* x, const double* weight, const double* bias, double alpha,
               double* y) {
  const int64_t n = s.n();
  double mean = 0, size = 0;
  if (s.kind == NormKind::ln)
    for (int64_t i = 0; i < n; ++i) mean += x[i] / double(n);
  for (int64_t i = 0; i < n; ++i) size += (x[i] - mean) * (x[i] - mean);
  const double r = 1 / std::sqrt((s.kind == NormKind::l2 ? size : size / double(n)) + s.eps);
  for (int64_t i = 0; i < n; ++i) {
    const double xhat = s.kind == NormKind::dyt ? std::tanh(alpha * x[i]) : (x[i] - mean) * r;
    y[i] = xhat * (weight[i] + s.gain_offset) + (bias ? bias[i] : 0);
  }
}

// x normalised; the parameters weight, bias, alpha stand in t from `first` on.
HostTensor normalised(const Settings& s, const HostTensor& x, const std::vector<HostTensor>& t,
                      size_t first) {
  HostTensor y(x.shape);
  const double* bias = s.bias ? t[first + 1].v.data() : nullptr;
  const double alpha = s.kind == NormKind::dyt ? t.back().v[0] : 0;
  for (size_t i = 0; i < x.v.size(); i += size_t(s.n()))
    normalise(s, &x.v[i], t[first].v.data(), bias, alpha, &y.v[i]);
  return y;
}

void append_parameters(const Settings& s, std::vector<CaseInput>& inputs) {
  inputs.push_back({.name = "weight", .shape = {s.n()}, .draw = Draw::positive, .parameter = true});
  if (s.bias) inputs.push_back({.name = "bias", .shape = {s.n()}, .parameter = true});
  if (s.kind == NormKind::dyt)
    inputs.push_back({.name = "alpha", .shape = {}, .draw = Draw::positive, .parameter = true});
}

NormArguments arguments(const Settings& s, const std::vector<Tensor>& t, size_t first) {
  NormArguments a{
      .kind = s.kind, .weight = t[first], .eps = s.eps, .gain_offset = s.gain_offset, .groups = s.groups};
  a.activation = s.activation;
  if (s.bias) a.bias = t[first + 1];
  if (s.kind == NormKind::dyt) a.alpha = t.back();
  return a;
}

std::string describe(const Settings& s) {
  return join_text(name_of(s.kind), " ", s.shape, s.groups > 1 ? join_text(" in ", s.groups, " blocks") : "",
                   s.bias ? " bias" : "", s.gain_offset != 0 ? " offset" : "",
                   s.activation != Activation::identity ? join_text(" of ", name_of(s.activation)) : "");
}

/// Norms that turn by position on their way, per head and over the whole row.
void add_turned_norms(std::vector<OpCase>& cases) {
  struct Row {
    Settings norm;
    int64_t heads, offset;
  };
  const Row rows[] = {
      {{.kind = NormKind::rms, .shape = {2, 5, 24}, .groups = 3}, 3, 0},
      {{.kind = NormKind::rms, .shape = {1, 35, 16}, .groups = 2, .gain_offset = 1}, 2, 1000},
      {{.kind = NormKind::ln, .shape = {2, 3, 20}, .groups = 2, .bias = true}, 2, 7},
      {{.kind = NormKind::rms, .shape = {2, 3, 12}}, 2, 3},
      {{.kind = NormKind::l2, .shape = {1, 4, 18}, .groups = 3}, 3, 0},
      {{.kind = NormKind::dyt, .shape = {2, 3, 8}, .groups = 2}, 2, 0},
      {{.kind = NormKind::rms, .shape = {0, 3, 8}, .groups = 2}, 2, 0},
  };
  for (const auto& [s, heads, offset] : rows) {
    std::vector<CaseInput> inputs = {{"x", s.shape}};
    append_parameters(s, inputs);
    const int64_t n = s.shape[2] / heads, half = n / 2;
    cases.push_back({.op = "norm_rope",
                     .node = "norm",
                     .detail = join_text(describe(s), ", ", heads, " heads from ", offset),
                     .inputs = inputs,
                     .run =
                         [=](const auto& t) {
                           return std::vector{norm_rope(t[0], arguments(s, t, 1), heads,
                                                        plain_rope_angles(n, 1e4), offset, t[0].dtype())};
                         },
                     .reference =
                         [=](const auto& t) {
                           const HostTensor x = normalised(s, t[0], t, 1);
                           HostTensor y(x.shape);
                           for (int64_t r = 0; r < s.shape[0] * s.shape[1]; ++r)
                             for (int64_t j = 0; j < s.shape[2]; ++j) {
                               const int64_t c = j % n, i = c % half;
                               const double angle = double(offset + r % s.shape[1]) *
                                                    std::pow(1e4, -2.0 * double(i) / double(n));
                               y.row(r)[j] =
                                   x.row(r)[j] * std::cos(angle) +
                                   (c < half ? -x.row(r)[j + half] : x.row(r)[j - half]) * std::sin(angle);
                             }
                           return std::vector{y};
                         },
                     .reduction = 2 * s.shape.numel()});
    if (s.kind == NormKind::dyt)
      cases.back().low_precision_factor = 60, cases.back().reason = "dalpha sums 1 - tanh^2 with both signs";
  }
}

void add_norms(std::vector<OpCase>& cases) {
  const Settings rows[] = {
      {.kind = NormKind::ln, .shape = {3, 5, 48}, .bias = true},
      {.kind = NormKind::ln, .shape = {37, 67}},
      {.kind = NormKind::ln, .shape = {2, 3, 28}, .groups = 4, .bias = true, .gain_offset = 1},
      {.kind = NormKind::ln, .shape = {0, 5}, .bias = true},
      {.kind = NormKind::ln, .shape = {1, 1}, .bias = true, .eps = 0.5},
      {.kind = NormKind::ln, .shape = {65, 7}, .bias = true},
      {.kind = NormKind::rms, .shape = {2, 5, 33}},
      {.kind = NormKind::rms, .shape = {3, 3, 24}, .groups = 3},
      {.kind = NormKind::rms, .shape = {7, 40}, .bias = true, .gain_offset = 1},
      {.kind = NormKind::rms, .shape = {4, 1}, .eps = 0.5},
      {.kind = NormKind::l2, .shape = {5, 39}, .groups = 3},
      {.kind = NormKind::l2, .shape = {2, 2, 17}, .bias = true},
      {.kind = NormKind::dyt, .shape = {3, 5, 19}, .bias = true},
      {.kind = NormKind::dyt, .shape = {4, 48}, .groups = 3},
      {.kind = NormKind::ln, .shape = {5, 67}, .bias = true, .activation = Activation::gelu},
      {.kind = NormKind::rms, .shape = {33, 24}, .activation = Activation::silu},
      {.kind = NormKind::dyt, .shape = {3, 20}, .bias = true, .activation = Activation::gelu_tanh},
      {.kind = NormKind::l2, .shape = {4, 36}, .groups = 2, .activation = Activation::tanh},
  };
  for (const Settings& s : rows) {
    std::vector<CaseInput> inputs = {{"x", s.shape}};
    append_parameters(s, inputs);
    cases.push_back(
        {.op = "norm",
         .node = "norm",
         .detail = describe(s),
         .inputs = inputs,
         .run = [s](const auto& t) { return std::vector{norm(t[0], arguments(s, t, 1), t[0].dtype())}; },
         .reference =
             [s](const auto& t) {
               HostTensor x = t[0];
               for (double& v : x.v) v = activation_value(s.activation, v);
               return std::vector{normalised(s, x, t, 1)};
             },
         .reduction = s.shape.numel()});
    if (s.kind == NormKind::ln && s.n() == 1)
      cases.back().dtypes = {DType::f64}, cases.back().reason = "dx is exactly zero: no relative error";
    else if (s.n() == 1)
      cases.back().low_precision_factor = 8,
      cases.back().reason = "four numbers: the yardstick's own rounding is luck";
  }
}

enum class Scale { one, constant, number, vector };

struct JoinSettings {
  Shape shape;
  Scale res = Scale::one, branch = Scale::one;
  double dropout = 0;
};

constexpr double kConstant = 0.75;
constexpr Rng kJoinRng{5, 11};

// The learned factors among the inputs, res before branch, from input 2 on.
void append_factors(const JoinSettings& s, std::vector<CaseInput>& inputs) {
  const auto append = [&](const char* name, Scale scale) {
    if (scale >= Scale::number)
      inputs.push_back({.name = name,
                        .shape = scale == Scale::vector ? Shape{s.shape.back()} : Shape{},
                        .draw = Draw::away,
                        .parameter = true});
  };
  append("res", s.res);
  append("branch", s.branch);
}

size_t norm_parameters_from(const JoinSettings& s) {
  return 2 + size_t(s.res >= Scale::number) + size_t(s.branch >= Scale::number);
}

ResidualJoin join_of(const JoinSettings& s, const std::vector<Tensor>& t, Rng& rng) {
  size_t next = 2;
  const auto scale = [&](Scale kind) {
    ResidualScale r;
    if (kind == Scale::constant) r.constant = kConstant;
    if (kind >= Scale::number) r.learned = t[next++];
    return r;
  };
  ResidualJoin join;
  join.res = scale(s.res);
  join.branch = scale(s.branch);
  join.dropout = s.dropout, join.rng = &rng;
  return join;
}

// joined = res stream + branch m o, the mask element by element from its definition in philox.h.
HostTensor joined(const JoinSettings& s, const std::vector<HostTensor>& t) {
  HostTensor y(s.shape);
  size_t next = 2;
  const HostTensor* res = s.res >= Scale::number ? &t[next++] : nullptr;
  const HostTensor* branch = s.branch >= Scale::number ? &t[next++] : nullptr;
  const auto factor = [&](Scale kind, const HostTensor* learned, size_t i) {
    if (kind == Scale::one) return 1.0;
    if (kind == Scale::constant) return kConstant;
    return learned->v[kind == Scale::vector ? i % learned->v.size() : 0];
  };
  for (size_t i = 0; i < y.v.size(); ++i) {
    const float draw = unit_float(philox(kJoinRng.seed, kJoinRng.offset + i / 4).word[i % 4]);
    const double mask = draw < s.dropout ? 0 : 1 / (1 - s.dropout);
    y.v[i] = factor(s.res, res, i) * t[0].v[i] + factor(s.branch, branch, i) * mask * t[1].v[i];
  }
  return y;
}

std::string describe(const JoinSettings& s) {
  const char* names[] = {"1", "c", "number", "vector"};
  return join_text(s.shape, " res ", names[int(s.res)], " branch ", names[int(s.branch)],
                   s.dropout > 0 ? " dropout" : "");
}

void add_joins(std::vector<OpCase>& cases) {
  const JoinSettings joins[] = {
      {.shape = {2, 5, 24}},
      {.shape = {3, 37}, .res = Scale::constant, .dropout = 0.25},
      {.shape = {41, 7}, .res = Scale::vector, .branch = Scale::number},
      {.shape = {3, 201}, .dropout = 0.25},
      {.shape = {3, 5, 19}, .res = Scale::number, .branch = Scale::vector, .dropout = 0.5},
      {.shape = {2, 18}, .branch = Scale::constant},
      {.shape = {0, 6}, .res = Scale::vector},
      {.shape = {1, 1}, .branch = Scale::vector},
  };
  for (const JoinSettings& s : joins) {
    std::vector<CaseInput> inputs = {{"stream", s.shape}, {"o", s.shape}};
    append_factors(s, inputs);
    cases.push_back({.op = "residual_add",
                     .node = "residual_add",
                     .detail = describe(s),
                     .inputs = inputs,
                     .run =
                         [s](const auto& t) {
                           Rng rng = kJoinRng;
                           return std::vector{residual_add(t[0], t[1], join_of(s, t, rng))};
                         },
                     .reference = [s](const auto& t) { return std::vector{joined(s, t)}; },
                     .reduction = s.shape.numel()});
  }

  // Both outputs read, then only one of them.
  enum class Read { both, joined, normed };
  struct Row {
    JoinSettings join;
    Settings norm;
    Read read = Read::both;
  };
  const Row rows[] = {
      {{.shape = {2, 5, 48}}, {.kind = NormKind::ln, .shape = {2, 5, 48}, .bias = true}},
      {{.shape = {35, 13}}, {.kind = NormKind::rms, .shape = {35, 13}}, Read::normed},
      {{.shape = {3, 7}}, {.kind = NormKind::ln, .shape = {3, 7}, .bias = true}, Read::joined},
      {{.shape = {3, 18}, .res = Scale::vector, .branch = Scale::number, .dropout = 0.3},
       {.kind = NormKind::ln, .shape = {3, 18}, .groups = 2, .bias = true}},
      {{.shape = {5, 17}, .res = Scale::constant, .branch = Scale::vector},
       {.kind = NormKind::dyt, .shape = {5, 17}, .bias = true},
       Read::normed},
      {{.shape = {4, 20}, .res = Scale::number, .dropout = 0.1},
       {.kind = NormKind::rms, .shape = {4, 20}, .gain_offset = 1}},
      {{.shape = {0, 4}}, {.kind = NormKind::ln, .shape = {0, 4}}},
      {{.shape = {2, 1}, .branch = Scale::vector}, {.kind = NormKind::rms, .shape = {2, 1}}},
  };
  for (const auto& [j, n, read] : rows) {
    const char* reads[] = {"", ", joined only", ", normed only"};
    const size_t first = norm_parameters_from(j);
    std::vector<CaseInput> inputs = {{"stream", j.shape}, {"o", j.shape}};
    append_factors(j, inputs);
    append_parameters(n, inputs);
    const auto chosen = [read](auto a, auto b) {
      if (read == Read::joined) return std::vector{a};
      if (read == Read::normed) return std::vector{b};
      return std::vector{a, b};
    };
    cases.push_back({.op = "residual_add_norm",
                     .node = "residual_add_norm",
                     .detail = join_text(describe(j), ", ", describe(n), reads[int(read)]),
                     .inputs = inputs,
                     .run =
                         [=](const auto& t) {
                           Rng rng = kJoinRng;
                           const auto [sum, normed] = residual_add_norm(t[0], t[1], join_of(j, t, rng),
                                                                        arguments(n, t, first), t[0].dtype());
                           return chosen(sum, normed);
                         },
                     .reference =
                         [=](const auto& t) {
                           const HostTensor sum = joined(j, t);
                           return chosen(sum, normalised(n, sum, t, first));
                         },
                     .reduction = 2 * j.shape.numel()});  // the norm's sums inside the factors' sums
    if (n.kind == NormKind::dyt)
      cases.back().low_precision_factor = 60, cases.back().reason = "dalpha sums 1 - tanh^2 with both signs";
  }
}

}  // namespace

void add_norm_cases(std::vector<OpCase>& cases) {
  add_norms(cases);
  add_turned_norms(cases);
  add_joins(cases);
}

}  // namespace engine
