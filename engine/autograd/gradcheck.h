// Gradient checking: analytic gradients against central differences in float64, for any function of tensors.
//
//   auto result = gradcheck([](const std::vector<Tensor>& x) { return std::vector{my_op(x[0], x[1])}; }, {a,
//   b}); if (!result.ok) std::cerr << result.text;
//
// The function's outputs are reduced to one number with random cotangents of order 1 (1 for a scalar), L =
// sum <c_i, y_i>; each checked element x of an input is moved by +-eps, and (L(x+eps) - L(x-eps)) / 2 eps is
// compared with dL/dx from the tape. Where the two one-sided differences disagree far beyond curvature the
// function has a kink within eps (relu at 0, the top k of a router): the element is skipped and counted,
// provided that the analytic value lies between the two.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/autograd/tape.h"

namespace engine {

using TensorFunction = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

struct GradcheckOptions {
  double eps = 1e-6;
  double atol = 1e-8;
  double rtol = 1e-5;
  int64_t max_elements = 512;  // per input; larger inputs are sampled with `seed`
  uint64_t seed = 1;
  bool unit_cotangents = false;  // cotangents 1: for ops that form their gradient ahead of backward
};

struct GradcheckInput {
  std::string name;
  int64_t elements = 0, checked = 0, kinks = 0, failed = 0;
  double worst = 0;  // largest |analytic - numeric| / (atol + rtol * |numeric|): at most 1 passes
  int64_t worst_index = -1;
  double worst_analytic = 0, worst_numeric = 0;
};

struct GradcheckResult {
  bool ok = true;
  std::vector<GradcheckInput> inputs;
  std::string text;  // the failures, a line each
};

/// Checks the gradient of `f` at `inputs`. Floating inputs must be f64 and are checked; integer inputs are
/// passed along. `names` (optional) label the inputs in the result.
GradcheckResult gradcheck(const TensorFunction& f, std::vector<Tensor> inputs,
                          const GradcheckOptions& options = {}, const std::vector<std::string>& names = {});

/// The same for the parameters that a function uses: scalar() builds one number from parameter.value (all
/// f64).
GradcheckResult gradcheck_parameters(const std::function<Tensor()>& scalar,
                                     const std::vector<Parameter*>& parameters,
                                     const GradcheckOptions& options = {});

}  // namespace engine
