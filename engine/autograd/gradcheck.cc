// Read first: gradcheck.h.
#include "engine/autograd/gradcheck.h"

#include <algorithm>
#include <cmath>

namespace engine {
namespace {

// Outputs as one list, and their weights in the checked sum.
using Values = std::vector<double>;

Values flattened(const std::vector<Tensor>& outputs) {
  Values values;
  for (const Tensor& y : outputs)
    for (double x : y.to_vector()) values.push_back(x);
  return values;
}

// sum_i c_i (a_i - b_i): the differences are taken first, so that a large total does not swallow them.
double weighted_difference(const Values& c, const Values& a, const Values& b) {
  double sum = 0;
  for (size_t i = 0; i < c.size(); ++i) sum += c[i] * (a[i] - b[i]);
  return sum;
}

// All indices, or a sorted sample without repeats.
std::vector<int64_t> chosen_elements(int64_t n, const GradcheckOptions& options) {
  std::vector<int64_t> all(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) all[size_t(i)] = i;
  if (n <= options.max_elements) return all;
  Rng rng{options.seed, 0x5eed};
  for (int64_t i = 0; i < options.max_elements; ++i)
    std::swap(all[size_t(i)], all[size_t(i + int64_t(rng.below(uint64_t(n - i))))]);
  all.resize(size_t(options.max_elements));
  std::sort(all.begin(), all.end());
  return all;
}

// Compares one tensor's analytic gradient with differences of `value()`, moving the elements of `x` in place.
GradcheckInput check_tensor(const std::string& name, const Tensor& x, const std::vector<double>& analytic,
                            const std::function<Values()>& value, const Values& weights,
                            const GradcheckOptions& options, std::string& text) {
  GradcheckInput report;
  report.name = name;
  report.elements = x.numel();
  const Values centre = value(), before = x.to_vector();
  const Tensor flat = x.reshape({x.numel()});
  for (const int64_t i : chosen_elements(x.numel(), options)) {
    const auto set = [element = flat.slice(0, i, i + 1)](double v) { element.fill(v); };
    const double original = before[size_t(i)];
    const double step = options.eps * std::max(1.0, std::fabs(original));
    const double upper = original + step, lower = original - step, up = upper - original,
                 down = original - lower;
    set(upper);
    const Values above = value();
    set(lower);
    const Values below = value();
    set(original);
    const double numeric = weighted_difference(weights, above, below) / (up + down);
    const double forward = weighted_difference(weights, above, centre) / up;
    const double backward = weighted_difference(weights, centre, below) / down;
    const double a = analytic[size_t(i)];
    const double ratio = std::fabs(a - numeric) / (options.atol + options.rtol * std::fabs(numeric));
    ++report.checked;
    if (!(ratio <= 1)) {
      const double gap = std::fabs(forward - backward);
      const double size = std::max(std::fabs(forward), std::fabs(backward));
      const bool between =
          std::min(forward, backward) - 1e-6 * size <= a && a <= std::max(forward, backward) + 1e-6 * size;
      if (gap > 1e-3 * std::max(size, 1e-3) && between) {
        ++report.kinks;
        continue;
      }
      ++report.failed;
    }
    if (!(ratio <= report.worst)) {
      report.worst = ratio;
      report.worst_index = i;
      report.worst_analytic = a;
      report.worst_numeric = numeric;
    }
  }
  if (report.failed > 0)
    text += join_text(name, ": ", report.failed, " of ", report.checked, " elements differ; worst at ",
                      report.worst_index, ": analytic ", report.worst_analytic, ", numeric ",
                      report.worst_numeric, "\n");
  if (report.checked > 0 && report.kinks == report.checked && report.checked > 1) {
    report.failed = report.checked;
    text += join_text(name, ": every element sits on a kink; nothing was checked\n");
  }
  return report;
}

}  // namespace

GradcheckResult gradcheck(const TensorFunction& f, std::vector<Tensor> inputs,
                          const GradcheckOptions& options, const std::vector<std::string>& names) {
  std::vector<Tensor> xs;
  for (const Tensor& input : inputs) {
    check(!is_float(input.dtype()) || input.dtype() == DType::f64, "gradcheck: needs f64 inputs, got ",
          input.dtype());
    Tensor x = input.detach();
    if (is_float(x.dtype()) && !x.is_contiguous()) {
      x = input.like(input.shape(), DType::f64);
      x.copy_from(input);
    }
    xs.push_back(x);
  }
  Tape tape;
  std::vector<Tensor> outputs, cotangents;
  {
    const TapeScope scope(tape);
    for (Tensor& x : xs)
      if (is_float(x.dtype())) tape.watch(x);
    outputs = f(xs);
  }
  Rng rng{options.seed};
  for (const Tensor& y : outputs) {
    check(y.dtype() == DType::f64, "gradcheck: the function must return f64, got ", y.dtype());
    Values c(size_t(y.numel()));
    for (double& v : c) v = 0.5 + rng.uniform();
    for (double& v : c)
      if (rng.below(2)) v *= -1;
    if (options.unit_cotangents) std::fill(c.begin(), c.end(), 1);
    cotangents.push_back(Tensor::from(c, y.shape()).to(y.device()));
  }
  tape.backward(outputs, cotangents);

  GradcheckResult result;
  const TapeScope off(nullptr);
  for (size_t k = 0; k < xs.size(); ++k) {
    if (!is_float(xs[k].dtype())) continue;
    const Tensor g = tape.gradient(xs[k]);
    const std::vector<double> analytic =
        g.defined() ? g.to_vector() : std::vector<double>(size_t(xs[k].numel()));
    std::vector<Tensor> plain;
    for (const Tensor& x : xs) plain.push_back(x.detach());
    const auto value = [&] { return flattened(f(plain)); };
    const std::string name = k < names.size() ? names[k] : join_text("input ", k);
    result.inputs.push_back(
        check_tensor(name, xs[k], analytic, value, flattened(cotangents), options, result.text));
    result.ok = result.ok && result.inputs.back().failed == 0;
  }
  return result;
}

GradcheckResult gradcheck_parameters(const std::function<Tensor()>& scalar,
                                     const std::vector<Parameter*>& parameters,
                                     const GradcheckOptions& options) {
  for (Parameter* p : parameters) {
    check(p->value.dtype() == DType::f64, "gradcheck: parameter ", p->name, " must be f64, got ",
          p->value.dtype());
    p->grad_written = false;
  }
  Tape tape;
  {
    const TapeScope scope(tape);
    const Tensor loss = scalar();
    tape.backward(loss);
  }
  GradcheckResult result;
  const TapeScope off(nullptr);
  for (Parameter* p : parameters) {
    const std::vector<double> analytic =
        p->grad_written ? p->grad.to_vector() : std::vector<double>(size_t(p->value.numel()));
    const auto value = [&] { return Values{scalar().item()}; };
    result.inputs.push_back(check_tensor(p->name, p->value, analytic, value, {1}, options, result.text));
    result.ok = result.ok && result.inputs.back().failed == 0;
  }
  return result;
}

}  // namespace engine
