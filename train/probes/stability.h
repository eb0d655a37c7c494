// When a learning-rate ramp has broken a run (NormFormer, arXiv 2110.09456, figure 5: "until training
// destabilises"; the rule is ours). A run fails at the first update where
//   nonfinite, scaler   the loss or the gradient norm is no finite number, or the loss scaler gives up
//   loss                the median of the last 10 losses is above a limit: halfway from its lowest value so
//   far
//                       to U, the loss of a model that sees no context (half of what context gave is lost);
//                       or, while less than 0.2 nats have been learnt, max(U, first loss) + 1
// A spike of four updates or fewer does not move a median of ten. The failing update is the first of the ten
// whose own loss is above the limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace train {

struct RampFailure {
  std::string reason;       // "nonfinite", "scaler", "loss"
  int64_t step = 0;         // the failing update, from 1
  int64_t detected_at = 0;  // the update at which the rule noticed
};

class RampJudge {
 public:
  /// `level`: U, in nats.
  explicit RampJudge(double level) : level_(level) {}

  /// The loss of the next update, and the norm of its gradient.
  std::optional<RampFailure> observe(double loss, double gradient_norm);

 private:
  double level_;
  std::optional<double> best_;
  std::vector<double> losses_;
};

/// The median of runs' failing updates (or rates); a run that never failed counts as infinite. Nothing when
/// the median is.
std::optional<double> median_with_survivors(const std::vector<std::optional<double>>& values);

}  // namespace train
