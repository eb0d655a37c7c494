// Read first: optimizer.h. Checks, and the few numbers that turn each published rule into one fused pass.
#include "engine/ops/optimizer.h"

#include <cmath>

#include "engine/ops/optimizer_kernels.h"

namespace engine {
namespace {

void check_flat(const char* op, const char* name, const Tensor& t, int64_t n, DType dtype) {
  check(t.defined() && t.is_contiguous() && t.numel() == n && t.dtype() == dtype, op, ": ", name,
        " must be contiguous with ", n, " elements of ", dtype, ", got ",
        !t.defined()        ? std::string("nothing")
        : t.is_contiguous() ? join_text(t.shape(), " ", t.dtype())
                            : join_text("a view ", t.shape(), " with gaps"));
}

// Every number of a step is finite and at least `least`.
struct Setting {
  const char* name;
  double value, least, below;
};
void check_settings(const char* op, std::initializer_list<Setting> settings) {
  for (const Setting& s : settings) {
    check(std::isfinite(s.value), op, ": ", s.name, " must be finite, got ", s.value);
    check(s.value >= s.least && s.value < s.below, op, ": ", s.name, " must lie in [", s.least, ", ", s.below,
          "), got ", s.value);
  }
}

DType moment_dtype(const Tensor& parameters) { return compute_dtype(parameters.dtype()); }

FlatStep flat_step(const char* op, const Tensor& parameters, const Tensor& gradients, const Tensor& low,
                   double gradient_factor) {
  check(parameters.defined() && parameters.is_contiguous() &&
            (parameters.dtype() == DType::f64 || parameters.dtype() == DType::f32 ||
             parameters.dtype() == DType::f16),
        op, ": needs contiguous parameters of f64, f32 or f16, got ",
        parameters.defined() ? join_text(parameters.shape(), " ", parameters.dtype()) : "nothing");
  const int64_t n = parameters.numel();
  check_flat(op, "gradients", gradients, n, parameters.dtype());
  if (low.defined()) {
    check(parameters.dtype() == DType::f32 && (low.dtype() == DType::bf16 || low.dtype() == DType::f16), op,
          ": a ", low.dtype(), " copy of ", parameters.dtype(),
          " parameters; f32 parameters can have one in bf16 or f16");
    check_flat(op, "low", low, n, low.dtype());
    ++low.storage()->version;
  }
  ++parameters.storage()->version;
  return {.parameters = parameters.raw(),
          .gradients = gradients.raw(),
          .first = nullptr,
          .second = nullptr,
          .low = low.defined() ? low.raw() : nullptr,
          .n = n,
          .parameter_dtype = parameters.dtype(),
          .gradient_dtype = gradients.dtype(),
          .low_dtype = low.defined() ? low.dtype() : DType::f32,
          .gradient_factor = gradient_factor};
}

constexpr double kNoLimit = INFINITY;

FlatStep adam_flat(const char* op, const Tensor& parameters, const Tensor& gradients, const Tensor& m,
                   const Tensor& v, const AdamOptions& o, const Tensor& low) {
  check_settings(op, {{"lr", o.lr, 0, kNoLimit},
                      {"beta1", o.beta1, 0, 1},
                      {"beta2", o.beta2, 0, 1},
                      {"eps", o.eps, 0, kNoLimit},
                      {"weight_decay", o.weight_decay, 0, kNoLimit},
                      {"gradient_factor", o.gradient_factor, -kNoLimit, kNoLimit}});
  check(o.step >= 1, op, ": step must be at least 1, got ", o.step);
  FlatStep flat = flat_step(op, parameters, gradients, low, o.gradient_factor);
  check_flat(op, "m", m, flat.n, moment_dtype(parameters));
  check_flat(op, "v", v, flat.n, moment_dtype(parameters));
  flat.first = m.raw(), flat.second = v.raw();
  return flat;
}

}  // namespace

std::vector<double> sums_of_squares(const Tensor& flat) {
  static_assert(kSquaresBlock == kSquaresGrain);
  check(flat.defined() && is_float(flat.dtype()) && flat.is_contiguous(),
        "sum_of_squares: needs a contiguous floating tensor, got ",
        flat.defined() ? join_text(flat.shape(), " ", flat.dtype()) : "nothing");
  SumOfSquares a{.x = flat.raw(), .n = flat.numel(), .dtype = flat.dtype()};
  const Tensor partials = flat.like({sum_of_squares_scratch(flat.device(), a)}, DType::f64);
  a.partials = partials.data<double>();
  kernel::sum_of_squares(flat.device(), a);
  return partials.to_vector();
}

double sum_of_squares(const Tensor& flat) {
  double sum = 0;
  for (const double partial : sums_of_squares(flat)) sum += partial;
  return sum;
}

void adamw_step(const Tensor& parameters, const Tensor& gradients, const Tensor& m, const Tensor& v,
                const AdamOptions& o, const Tensor& low) {
  const FlatStep flat = adam_flat("adamw_step", parameters, gradients, m, v, o, low);
  const double t = double(o.step);
  kernel::adam_step(parameters.device(), {.flat = flat,
                                          .decay = o.lr * o.weight_decay,
                                          .beta1 = o.beta1,
                                          .beta2 = o.beta2,
                                          .size = o.lr / (1 - std::pow(o.beta1, t)),
                                          .root_scale = 1 / std::sqrt(1 - std::pow(o.beta2, t)),
                                          .eps = o.eps});
}

void fairseq_adam_step(const Tensor& parameters, const Tensor& gradients, const Tensor& m, const Tensor& v,
                       const AdamOptions& o, const Tensor& low) {
  const FlatStep flat = adam_flat("fairseq_adam_step", parameters, gradients, m, v, o, low);
  const double t = double(o.step);
  kernel::adam_step(parameters.device(),
                    {.flat = flat,
                     .decay = o.lr * o.weight_decay,
                     .beta1 = o.beta1,
                     .beta2 = o.beta2,
                     .size = o.lr * std::sqrt(1 - std::pow(o.beta2, t)) / (1 - std::pow(o.beta1, t)),
                     .root_scale = 1,
                     .eps = o.eps});
}

void nag_step(const Tensor& parameters, const Tensor& gradients, const Tensor& buffer, const NagOptions& o,
              const Tensor& low) {
  check_settings("nag_step", {{"lr", o.lr, 0, kNoLimit},
                              {"previous_lr", o.previous_lr, 0, kNoLimit},
                              {"momentum", o.momentum, 0, kNoLimit},
                              {"weight_decay", o.weight_decay, 0, kNoLimit},
                              {"gradient_factor", o.gradient_factor, -kNoLimit, kNoLimit}});
  FlatStep flat = flat_step("nag_step", parameters, gradients, low, o.gradient_factor);
  check_flat("nag_step", "buffer", buffer, flat.n, moment_dtype(parameters));
  flat.first = buffer.raw();
  const double rho = o.previous_lr > 0 ? o.lr / o.previous_lr : o.lr;
  kernel::nag_step(parameters.device(), {.flat = flat,
                                         .decay = o.lr * o.weight_decay,
                                         .buffer_to_p = o.momentum * o.momentum * rho,
                                         .gradient_to_p = (1 + o.momentum) * o.lr,
                                         .buffer_keep = o.momentum * rho,
                                         .lr = o.lr});
}

void sgd_step(const Tensor& parameters, const Tensor& gradients, const Tensor& buffer, const SgdOptions& o,
              const Tensor& low) {
  check_settings("sgd_step", {{"lr", o.lr, 0, kNoLimit},
                              {"momentum", o.momentum, 0, kNoLimit},
                              {"weight_decay", o.weight_decay, 0, kNoLimit},
                              {"gradient_factor", o.gradient_factor, -kNoLimit, kNoLimit}});
  FlatStep flat = flat_step("sgd_step", parameters, gradients, low, o.gradient_factor);
  if (buffer.defined() || o.momentum > 0) {
    check_flat("sgd_step", "buffer", buffer, flat.n, moment_dtype(parameters));
    flat.first = buffer.raw();
  }
  kernel::sgd_step(parameters.device(),
                   {.flat = flat, .lr = o.lr, .momentum = o.momentum, .weight_decay = o.weight_decay});
}

void ema_step(const Tensor& average, const Tensor& parameters, double decay) {
  check(decay >= 0 && decay <= 1, "ema_step: decay must lie in [0, 1], got ", decay);
  const bool floating = average.defined() && average.is_contiguous() &&
                        (average.dtype() == DType::f64 || average.dtype() == DType::f32);
  check(floating, "ema_step: needs a contiguous average of f64 or f32, got ",
        average.defined() ? join_text(average.shape(), " ", average.dtype()) : "nothing");
  const bool low = average.dtype() == DType::f32 && parameters.defined() && size_of(parameters.dtype()) == 2;
  check_flat("ema_step", "parameters", parameters, average.numel(),
             low ? parameters.dtype() : average.dtype());
  ++average.storage()->version;
  kernel::ema_step(average.device(), {.flat = {.parameters = average.raw(),
                                               .gradients = parameters.raw(),
                                               .first = nullptr,
                                               .second = nullptr,
                                               .low = nullptr,
                                               .n = average.numel(),
                                               .parameter_dtype = average.dtype(),
                                               .gradient_dtype = parameters.dtype(),
                                               .low_dtype = DType::f32,
                                               .gradient_factor = 1},
                                      .decay = decay});
}

void convert(const Tensor& from, const Tensor& to) {
  check(from.defined() && to.defined() && is_float(from.dtype()) && is_float(to.dtype()) &&
            from.is_contiguous() && to.is_contiguous() && from.numel() == to.numel(),
        "convert: needs two contiguous floating tensors of one size, got ",
        from.defined() ? join_text(from.shape(), " ", from.dtype()) : "nothing", " and ",
        to.defined() ? join_text(to.shape(), " ", to.dtype()) : "nothing");
  // In rows, because the copy kernel spreads rows over the threads.
  constexpr int64_t kRow = 16384;
  const int64_t n = from.numel(), rows = n / kRow;
  const Tensor a = from.reshape({n}), b = to.reshape({n});
  b.slice(0, 0, rows * kRow)
      .reshape({rows, kRow})
      .copy_from(a.slice(0, 0, rows * kRow).reshape({rows, kRow}));
  b.slice(0, rows * kRow, n).copy_from(a.slice(0, rows * kRow, n));
  ++to.storage()->version;
}

}  // namespace engine
