// What a run will take, before it starts: tokens a second from the operations of a token and what the
// processor can do now, and from those the length of the run and when it ends. Read first: models/flops.h.
#pragma once

#include <cstdint>
#include <string>

#include "models/config.h"
#include "train/config.h"

namespace train {

struct Expectation {
  double flops_per_token = 0, peak_flops = 0;  // peak: multiply-adds in registers, measured now
  double share = 0;                            // of the peak that a run of this width reaches
  double tokens_per_second = 0;
  double seconds = 0, tokens = 0;  // of the whole run; 0: the budget does not say
  int64_t updates = 0;             // 0: not known
  int64_t ranks = 1;
};

/// The share of the peak that training steps of this width reach (docs/benchmarks.md, "Expected speed").
double expected_share(int64_t width);
/// now: measured, in a few milliseconds. recent: of the last ten minutes, from a file in the cache.
enum class Peak { now, recent };
/// Multiply-adds a second of `threads` (0: all), and the part of expected_share() that is reached of them: 1,
/// but where products are so fast that most of a step is something else.
struct MeasuredPeak {
  double flops, reached;
};
MeasuredPeak measured_peak(PrecisionKind precision, int64_t threads, Peak peak);
/// For the speed alone: of a model, on `threads` (0: all).
Expectation expected_speed(const models::ModelConfig& model, int64_t context, PrecisionKind precision,
                           int64_t threads, Peak peak);
/// `rows_per_epoch`: 0 where the data is not known. `ranks`: that share the run, each with a peak like this
/// one's; the expectation is of all of them.
Expectation expected_run(const TrainConfig& config, const models::ModelConfig& model, int64_t context,
                         int64_t rows_per_epoch, Peak peak, int64_t ranks = 1);

/// One line for people: "time: 2.1k tokens/s expected (...); 5:00, until 14:32".
std::string expectation_text(const Expectation& expectation);

}  // namespace train
