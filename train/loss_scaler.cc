// Read first: loss_scaler.h.
#include "train/loss_scaler.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"

namespace train {

using engine::check;

LossScaler::LossScaler(const LossScaleConfig& config, int64_t ranks, int64_t accumulate)
    : config_(config), window_(config.window), scale_(config.init) {
  check(ranks >= 1 && accumulate >= 1, "loss scale: ", ranks, " ranks, accumulate ", accumulate,
        ": both are at least 1");
  check(config.init > 0 && config.factor > 1 && config.window >= 0, "loss scale: init ", config.init,
        ", factor ", config.factor, ", window ", config.window, ": init > 0, factor > 1, window >= 0");
  if (window_ == 0) window_ = std::max<int64_t>(1, 16384 / ranks / accumulate);
}

ScaleEvent LossScaler::observe(double grad_norm) {
  if (std::isfinite(grad_norm)) {
    if ((iteration_ - last_overflow_) % window_ == 0) {
      scale_ = std::max(scale_, std::min(scale_ * config_.factor, largest_grown));
      last_rescale_ = iteration_;
    }
    in_a_row_ = 0;
    ++iteration_;
    return ScaleEvent::apply;
  }
  const double before = scale_;
  const double since_rescale = double(iteration_ - last_rescale_);
  last_overflow_ = iteration_;
  ++overflows_since_rescale_;
  if (double(overflows_since_rescale_) / since_rescale >= config_.tolerance) {
    scale_ = std::max(scale_ / config_.factor, config_.floor);
    last_rescale_ = iteration_;
    overflows_since_rescale_ = 0;
  }
  if (scale_ <= config_.min || ++in_a_row_ >= most_in_a_row) {
    scale_ = before;
    return ScaleEvent::abort;
  }
  ++iteration_;
  return ScaleEvent::skip;
}

std::string LossScaler::abort_message(int64_t step, const std::string& where) const {
  const std::string why =
      in_a_row_ >= most_in_a_row
          ? engine::join_text(in_a_row_, " times in a row")
          : engine::join_text("the next scale is at or below loss_scale.min ", config_.min);
  return engine::join_text("step ", step, ": f16 gradients overflow at loss scale ", scale_, " (", where,
                           "); ", why, ": lower optim.lr, or use precision bf16 or f32");
}

engine::Json LossScaler::state() const {
  return {{"scale", scale_},
          {"iteration", iteration_},
          {"last_overflow", last_overflow_},
          {"last_rescale", last_rescale_},
          {"overflows_since_rescale", overflows_since_rescale_}};
}

void LossScaler::restore(const engine::Json& state, const std::string& what) {
  engine::check_keys(
      state, {"scale", "iteration", "last_overflow", "last_rescale", "overflows_since_rescale"}, what);
  const auto integer = [&](const char* key, int64_t low) {
    check(state.contains(key), what, ": ", key, " is missing");
    return engine::json_int(state[key], what + "." + key, low, int64_t(1) << 53);
  };
  check(state.contains("scale"), what, ": scale is missing");
  const double scale = engine::json_number(state["scale"], what + ".scale");
  check(scale > 0, what, ".scale: ", scale, " is not above 0");
  const int64_t iteration = integer("iteration", 0), overflow = integer("last_overflow", -1),
                rescale = integer("last_rescale", -1), overflows = integer("overflows_since_rescale", 0);
  check(overflow < iteration || iteration == 0, what, ".last_overflow: ", overflow,
        " is not before iteration ", iteration);
  check(rescale < iteration || iteration == 0, what, ".last_rescale: ", rescale, " is not before iteration ",
        iteration);
  scale_ = scale;
  iteration_ = iteration, last_overflow_ = overflow, last_rescale_ = rescale,
  overflows_since_rescale_ = overflows;
}

}  // namespace train
