// Read first: optimizer.h. Checks, and the few numbers that turn each published rule into one fused pass.
#include "engine/ops/optimizer.h"

#include <cmath>
#include <optional>

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
                   double weight_decay, const ArenaStep& arena) {
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
    check_flat(op, "low", low, arena.spans.empty() ? n : low.numel(), low.dtype());
    check(arena.low_begin >= 0 && arena.low_begin % 4 == 0 && arena.low_begin + low.numel() <= n, op,
          ": a copy of ", low.numel(), " parameters from ", arena.low_begin, " on, of ", n);
    ++low.storage()->version;
  }
  ++parameters.storage()->version;
  FlatStep flat{.parameters = parameters.raw(),
                .gradients = gradients.raw(),
                .first = nullptr,
                .second = nullptr,
                .low = low.defined() ? low.raw() : nullptr,
                .low_begin = arena.low_begin,
                .low_end = arena.low_begin + (low.defined() ? low.numel() : 0),
                .n = n,
                .parameter_dtype = parameters.dtype(),
                .gradient_dtype = gradients.dtype(),
                .low_dtype = low.defined() ? low.dtype() : DType::f32,
                .scalars = nullptr,
                .spans = {}};
  for (DecaySpan& span : flat.spans) span = {n, weight_decay};
  check(arena.spans.size() <= size_t(kDecaySpans), op, ": ", arena.spans.size(),
        " spans of weight decay, of at most ", kDecaySpans);
  int64_t last = 0;
  for (size_t k = 0; k < arena.spans.size(); ++k) {
    const DecaySpan& span = flat.spans[k] = arena.spans[k];
    check(span.end > last && (span.end == n || span.end % 4 == 0), op, ": a span of weight decay ends at ",
          span.end, ", behind ", last, " of ", n);
    check(std::isfinite(span.decay) && span.decay >= 0, op, ": weight decay ", span.decay);
    last = span.end;
  }
  check(arena.spans.empty() || last == n, op, ": spans of weight decay end at ", last, " of ", n);
  return flat;
}

/// The numbers of a step where kernels find them: those of the update, or a copy that lives as long as this.
/// (What is released comes behind the kernel in the order of the device's work.)
class StepNumbers {
 public:
  StepNumbers(Device device, const ArenaStep& arena, StepScalars rule, double gradient_factor) {
    rule.factor = gradient_factor;
    if (arena.scalars)
      arena.scalars->set_rule(rule);
    else
      own_.emplace(device, rule);
    memory_ = arena.scalars ? arena.scalars->memory() : own_->memory();
  }
  FlatStep in(FlatStep flat) const {
    flat.scalars = memory_;
    return flat;
  }

 private:
  std::optional<ScalarsInMemory> own_;
  const StepScalars* memory_ = nullptr;
};

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
  FlatStep flat = flat_step(op, parameters, gradients, low, o.weight_decay, o.arena);
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

void form_factor(const Tensor& gradients, const ScalarsInMemory& scalars, const Clipping& clipping) {
  check(gradients.defined() && is_float(gradients.dtype()) && gradients.is_contiguous(),
        "form_factor: needs contiguous floating gradients, got ",
        gradients.defined() ? join_text(gradients.shape(), " ", gradients.dtype()) : "nothing");
  SumOfSquares squares{.x = gradients.raw(), .n = gradients.numel(), .dtype = gradients.dtype()};
  const Tensor partials = gradients.like({sum_of_squares_scratch(gradients.device(), squares)}, DType::f64);
  squares.partials = partials.data<double>();
  kernel::sum_of_squares(gradients.device(), squares);
  kernel::form_factor(gradients.device(),
                      {partials.data<double>(), partials.numel(), scalars.memory(), clipping});
}

void adamw_step(const Tensor& parameters, const Tensor& gradients, const Tensor& m, const Tensor& v,
                const AdamOptions& o, const Tensor& low) {
  const FlatStep flat = adam_flat("adamw_step", parameters, gradients, m, v, o, low);
  const double t = double(o.step);
  const StepNumbers numbers(parameters.device(), o.arena,
                            {.lr = o.lr,
                             .size = o.lr / (1 - std::pow(o.beta1, t)),
                             .root_scale = 1 / std::sqrt(1 - std::pow(o.beta2, t))},
                            o.gradient_factor);
  kernel::adam_step(parameters.device(),
                    {.flat = numbers.in(flat), .beta1 = o.beta1, .beta2 = o.beta2, .eps = o.eps});
}

void fairseq_adam_step(const Tensor& parameters, const Tensor& gradients, const Tensor& m, const Tensor& v,
                       const AdamOptions& o, const Tensor& low) {
  const FlatStep flat = adam_flat("fairseq_adam_step", parameters, gradients, m, v, o, low);
  const double t = double(o.step);
  const StepNumbers numbers(
      parameters.device(), o.arena,
      {.lr = o.lr, .size = o.lr * std::sqrt(1 - std::pow(o.beta2, t)) / (1 - std::pow(o.beta1, t))},
      o.gradient_factor);
  kernel::adam_step(parameters.device(),
                    {.flat = numbers.in(flat), .beta1 = o.beta1, .beta2 = o.beta2, .eps = o.eps});
}

void nag_step(const Tensor& parameters, const Tensor& gradients, const Tensor& buffer, const NagOptions& o,
              const Tensor& low) {
  check_settings("nag_step", {{"lr", o.lr, 0, kNoLimit},
                              {"previous_lr", o.previous_lr, 0, kNoLimit},
                              {"momentum", o.momentum, 0, kNoLimit},
                              {"weight_decay", o.weight_decay, 0, kNoLimit},
                              {"gradient_factor", o.gradient_factor, -kNoLimit, kNoLimit}});
  FlatStep flat = flat_step("nag_step", parameters, gradients, low, o.weight_decay, o.arena);
  check_flat("nag_step", "buffer", buffer, flat.n, moment_dtype(parameters));
  flat.first = buffer.raw();
  const double rho = o.previous_lr > 0 ? o.lr / o.previous_lr : o.lr;
  const StepNumbers numbers(parameters.device(), o.arena,
                            {.lr = o.lr,
                             .buffer_to_p = o.momentum * o.momentum * rho,
                             .gradient_to_p = (1 + o.momentum) * o.lr,
                             .buffer_keep = o.momentum * rho},
                            o.gradient_factor);
  kernel::nag_step(parameters.device(), {.flat = numbers.in(flat)});
}

void sgd_step(const Tensor& parameters, const Tensor& gradients, const Tensor& buffer, const SgdOptions& o,
              const Tensor& low) {
  check_settings("sgd_step", {{"lr", o.lr, 0, kNoLimit},
                              {"momentum", o.momentum, 0, kNoLimit},
                              {"weight_decay", o.weight_decay, 0, kNoLimit},
                              {"gradient_factor", o.gradient_factor, -kNoLimit, kNoLimit}});
  FlatStep flat = flat_step("sgd_step", parameters, gradients, low, o.weight_decay, o.arena);
  if (buffer.defined() || o.momentum > 0) {
    check_flat("sgd_step", "buffer", buffer, flat.n, moment_dtype(parameters));
    flat.first = buffer.raw();
  }
  const StepNumbers numbers(parameters.device(), o.arena, {.lr = o.lr}, o.gradient_factor);
  kernel::sgd_step(parameters.device(), {.flat = numbers.in(flat), .momentum = o.momentum});
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
                                               .low_begin = 0,
                                               .low_end = 0,
                                               .n = average.numel(),
                                               .parameter_dtype = average.dtype(),
                                               .gradient_dtype = parameters.dtype(),
                                               .low_dtype = DType::f32,
                                               .scalars = nullptr,
                                               .spans = {{average.numel(), 0},
                                                         {average.numel(), 0},
                                                         {average.numel(), 0},
                                                         {average.numel(), 0},
                                                         {average.numel(), 0}}},
                                      .decay = decay});
}

void convert(const Tensor& from, const Tensor& to) {
  check(from.defined() && to.defined() && is_float(from.dtype()) && is_float(to.dtype()) &&
            from.is_contiguous() && to.is_contiguous() && from.numel() == to.numel(),
        "convert: needs two contiguous floating tensors of one size, got ",
        from.defined() ? join_text(from.shape(), " ", from.dtype()) : "nothing", " and ",
        to.defined() ? join_text(to.shape(), " ", to.dtype()) : "nothing");
  // A multiple of a GPU's packs first: a length that is none would be copied element by element.
  constexpr int64_t kPack = 8;
  const int64_t n = from.numel(), whole = n / kPack * kPack;
  const Tensor a = from.reshape({n}), b = to.reshape({n});
  b.slice(0, 0, whole).copy_from(a.slice(0, 0, whole));
  b.slice(0, whole, n).copy_from(a.slice(0, whole, n));
}

}  // namespace engine
