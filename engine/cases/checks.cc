// Read first: checks.h.
#include "engine/cases/checks.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/cpu/parallel.h"

namespace engine {
namespace {

// ||a - b|| / max(||b||, least); infinite when a is not finite where b is.
double relative_error(const std::vector<double>& a, const std::vector<double>& b, double least = 1e-30) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < b.size(); ++i) difference += (a[i] - b[i]) * (a[i] - b[i]), size += b[i] * b[i];
  if (std::isnan(difference)) return INFINITY;
  return std::sqrt(difference) / std::max(std::sqrt(size), least);
}

// Outputs of a row, then the gradient of each floating input for fixed cotangents.
struct Evaluation {
  std::vector<Tensor> outputs;
  std::vector<Tensor> gradients;  // undefined where there is none
};

Tensor cotangent_for(const OpCase& c, const Tensor& y, uint64_t index) {
  Rng rng{0xc07a, index << 32};
  std::vector<double> values(size_t(y.numel()));
  for (double& value : values) value = c.unit_upstream ? 1 : rng.normal();
  return Tensor::from(values, y.shape(), y.dtype());
}

Evaluation evaluate(const OpCase& c, std::vector<Tensor> inputs, bool round_cotangents = false,
                    DType rounding = DType::f64, Device device = Device::cpu) {
  for (Tensor& input : inputs) input = input.to(device);
  Tape tape;
  Evaluation e;
  {
    const TapeScope scope(tape);
    for (size_t i = 0; i < inputs.size(); ++i)
      if (is_float(inputs[i].dtype()) && c.inputs[i].differentiable) tape.watch(inputs[i]);
    e.outputs = c.run(inputs);
  }
  std::vector<Tensor> cotangents;
  for (size_t i = 0; i < e.outputs.size(); ++i) {
    Tensor g = cotangent_for(c, e.outputs[i], i);
    if (round_cotangents)
      g = Tensor::from(Tensor::from(g.to_vector(), g.shape(), rounding).to_vector(), g.shape(), g.dtype());
    cotangents.push_back(g.to(device));
  }
  tape.backward(e.outputs, cotangents);
  for (const Tensor& x : inputs) e.gradients.push_back(tape.tracks(x) ? tape.gradient(x) : Tensor());
  return e;
}

Tensor rounded(const Tensor& t, DType dtype) {
  return is_float(t.dtype())
             ? Tensor::from(Tensor::from(t.to_vector(), t.shape(), dtype).to_vector(), t.shape(), t.dtype())
             : t;
}
Tensor cast(const Tensor& t, DType dtype) {
  return is_float(t.dtype()) ? Tensor::from(t.to_vector(), t.shape(), dtype) : t;
}

// The same values in storage with a gap after every element row and the first two axes swapped.
Tensor scattered(const Tensor& t) {
  Shape padded;
  for (int axis = 0; axis < t.rank(); ++axis) padded.append(t.size(axis) + (axis + 1 == t.rank() ? 3 : 1));
  if (t.rank() == 0) return t;
  if (t.rank() >= 2) std::swap(padded[0], padded[1]);
  Tensor storage = Tensor::zeros(padded, t.dtype());
  Tensor view = t.rank() >= 2 ? storage.transpose(0, 1) : storage;
  for (int axis = 0; axis < t.rank(); ++axis) view = view.slice(axis, 0, t.size(axis));
  view.copy_from(t);
  return view;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.defined() != b.defined()) return false;
  if (!a.defined()) return true;
  if (a.shape() == b.shape() && a.dtype() == b.dtype()) {
    const Tensor x = Tensor::empty(a.shape(), a.dtype()), y = Tensor::empty(b.shape(), b.dtype());
    x.copy_from(a);
    y.copy_from(b);
    return a.numel() == 0 || std::memcmp(x.raw(), y.raw(), size_t(x.bytes())) == 0;
  }
  return false;
}

CaseReport compare_bits(const Evaluation& a, const Evaluation& b, const std::string& what) {
  for (size_t i = 0; i < a.outputs.size(); ++i)
    if (!same_bits(a.outputs[i], b.outputs[i])) return {false, join_text("output ", i, " differs ", what)};
  for (size_t i = 0; i < a.gradients.size(); ++i)
    if (!same_bits(a.gradients[i], b.gradients[i]))
      return {false, join_text("gradient ", i, " differs ", what)};
  return {};
}

// The three narrow dtypes, against f64 on the CPU.
CaseReport check_low_dtypes(const OpCase& c, Device device) {
  const std::vector<Tensor> exact = draw_inputs(c, DType::f64);
  const Evaluation truth = evaluate(c, exact);
  for (DType dtype : c.dtypes) {
    if (dtype == DType::f64) continue;
    std::vector<Tensor> low, rounded_inputs;
    for (size_t i = 0; i < exact.size(); ++i) {
      const DType t = c.inputs[i].parameter ? compute_dtype(dtype) : dtype;
      low.push_back(cast(exact[i], t));
      rounded_inputs.push_back(rounded(exact[i], t));
    }
    const Evaluation got = evaluate(c, low, true, dtype, device);
    const Evaluation yardstick = evaluate(c, rounded_inputs, true, dtype);
    const auto within = [&](const Tensor& ours, const Tensor& f64, const Tensor& exact_value,
                            const std::string& what) -> CaseReport {
      if (!exact_value.defined() || exact_value.numel() == 0) return {};
      if (!ours.defined()) return {false, join_text(dtype, " ", what, " is missing")};
      const double unit = std::sqrt(double(c.reduction)) * 0x1p-24;
      const double allowed = c.low_precision_factor * relative_error(rounded(f64, ours.dtype()).to_vector(),
                                                                     exact_value.to_vector()) +
                             unit;
      const double error = relative_error(ours.to_vector(), exact_value.to_vector());
      if (error <= allowed) return {};
      return {false, join_text(dtype, " ", what, " is off by ", error, ", allowed ", allowed)};
    };
    for (size_t i = 0; i < truth.outputs.size(); ++i)
      if (auto r = within(got.outputs[i], yardstick.outputs[i], truth.outputs[i], join_text("output ", i));
          !r.ok)
        return r;
    for (size_t i = 0; i < truth.gradients.size(); ++i)
      if (auto r = within(got.gradients[i], yardstick.gradients[i], truth.gradients[i],
                          "gradient of " + c.inputs[i].name);
          !r.ok)
        return r;
  }
  return {};
}

}  // namespace

CaseReport check_value(const OpCase& c) {
  const std::vector<Tensor> inputs = draw_inputs(c, DType::f64);
  std::vector<HostTensor> host;
  for (const Tensor& t : inputs) host.push_back(to_host(t));
  const std::vector<HostTensor> expected = c.reference(host);
  const std::vector<Tensor> got = c.run(inputs);
  if (got.size() != expected.size())
    return {false, join_text(got.size(), " outputs, the reference has ", expected.size())};
  for (size_t i = 0; i < got.size(); ++i) {
    if (!(got[i].shape() == expected[i].shape))
      return {false, join_text("output ", i, " is ", got[i].shape(), ", the reference ", expected[i].shape)};
    const double error = relative_error(got[i].to_vector(), expected[i].v);
    if (!(error <= c.f64_tolerance))
      return {false, join_text("output ", i, " is off by ", error, " (allowed ", c.f64_tolerance, ")")};
  }
  return {};
}

CaseReport check_gradients(const OpCase& c, GradcheckResult* details, Device device) {
  std::vector<std::string> names;
  for (const CaseInput& input : c.inputs) names.push_back(input.name);
  std::vector<Tensor> inputs = draw_inputs(c, DType::f64);
  for (Tensor& input : inputs) input = input.to(device);
  GradcheckResult result = gradcheck(c.run, inputs, {.unit_cotangents = c.unit_upstream}, names);
  CaseReport report{result.ok, result.text};
  if (details) *details = std::move(result);
  return report;
}

CaseReport check_dtypes(const OpCase& c) { return check_low_dtypes(c, Device::cpu); }

CaseReport check_device(const OpCase& c, Device device) {
  const std::vector<Tensor> inputs = draw_inputs(c, DType::f64);
  const Evaluation expected = evaluate(c, inputs), got = evaluate(c, inputs, false, DType::f64, device);
  const auto agree = [&](const Tensor& ours, const Tensor& cpus, const std::string& what) -> CaseReport {
    if (ours.defined() != cpus.defined()) return {false, "f64 " + what + " is there on one device only"};
    if (!cpus.defined() || cpus.numel() == 0) return {};
    if (ours.device() != device) return {false, join_text("f64 ", what, " is on ", ours.device())};
    const double error =
        relative_error(ours.to_vector(), cpus.to_vector(), 1e-3);  // what cancels is rounding
    if (error <= 10 * c.f64_tolerance) return {};
    return {false, join_text("f64 ", what, " is off by ", error, " on ", device)};
  };
  for (size_t i = 0; i < expected.outputs.size(); ++i)
    if (auto r = agree(got.outputs[i], expected.outputs[i], join_text("output ", i)); !r.ok) return r;
  for (size_t i = 0; i < expected.gradients.size(); ++i)
    if (auto r = agree(got.gradients[i], expected.gradients[i], "gradient of " + c.inputs[i].name); !r.ok)
      return r;
  return check_low_dtypes(c, device);
}

CaseReport check_strides(const OpCase& c) {
  for (DType dtype : c.dtypes) {
    const std::vector<Tensor> inputs = draw_inputs(c, dtype);
    std::vector<Tensor> views;
    for (const Tensor& t : inputs) views.push_back(scattered(t));
    const CaseReport report = compare_bits(evaluate(c, inputs), evaluate(c, views),
                                           join_text("with non-contiguous inputs in ", dtype));
    if (!report.ok) return report;
  }
  return {};
}

CaseReport check_threads(const OpCase& c) {
  const int before = cpu::thread_count();
  CaseReport report;
  for (DType dtype : c.dtypes) {
    const std::vector<Tensor> inputs = draw_inputs(c, dtype);
    cpu::set_thread_count(1);
    const Evaluation one = evaluate(c, inputs);
    for (int threads : {2, 3, 8}) {
      cpu::set_thread_count(threads);
      report =
          compare_bits(one, evaluate(c, inputs), join_text("between 1 and ", threads, " threads in ", dtype));
      if (!report.ok) break;
    }
    if (!report.ok) break;
  }
  cpu::set_thread_count(before);
  return report;
}

CaseReport check_poison(const OpCase& c) {
  struct Poisoning {
    Poisoning() { set_poisoning(true); }
    ~Poisoning() { set_poisoning(false); }
  };
  for (DType dtype : c.dtypes) {
    const std::vector<Tensor> inputs = draw_inputs(c, dtype);
    const Evaluation plain = evaluate(c, inputs);
    const Evaluation poisoned = [&] {
      const Poisoning on;
      return evaluate(c, inputs);
    }();
    const CaseReport report = compare_bits(plain, poisoned, join_text("from poisoned memory in ", dtype));
    if (!report.ok) return report;
  }
  return {};
}

CaseReport check_mutation(const OpCase& c) {
  // An op that takes no upstream gradient but 1 has formed its gradients by then: those are made wrong.
  const BackwardMutation mutation(
      c.node.c_str(), 1.01, c.unit_upstream ? BackwardMutation::Of::passed : BackwardMutation::Of::received);
  if (!check_gradients(c).ok) return {};
  return {false, "a backward of " + c.node + " scaled by 1.01 passed the gradient check"};
}

}  // namespace engine
