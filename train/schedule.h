// Learning-rate schedules: a rate for every update, from the schedule section of the config.
//
// Which number a rate depends on differs between systems, so it is a choice (schedule.counting). Update u,
// from 1, comes after n = u - 1 completed updates, and its rate is
//   completed  f(n): fairseq, Hugging Face. A warm-up's first update has rate 0 (or warmup_from).
//   current    f(u): OLMo, HybridNorm. The first update has rate peak / warmup.
//   split      f(u) while u <= warmup, f(n) after it: nanoGPT. No update is lost and the peak is used twice.
// Reference rates in the tests come from fairseq's own polynomial, cosine and inverse square root schedulers.
#pragma once

#include <cstdint>

#include "train/config.h"

namespace train {

class Schedule {
 public:
  /// `total` is the run's length in updates, warm-up included: schedule.steps where set, else what the budget
  /// gives. 0: unknown (a time budget); then only the second form of rate() knows where the run is.
  Schedule(const ScheduleConfig& config, double peak, int64_t total);

  /// The rate of the update that follows `completed` updates.
  double rate(int64_t completed) const;
  /// The same in a run that ends by the clock: `spent` is the share of its time that is used up, in [0, 1].
  /// The warm-up still counts updates; the decay follows `spent`. Where `total` is known too, the run ends
  /// with whichever comes first: it is taken to be no longer than the updates that its time will suffice for,
  /// at the speed so far.
  double rate(int64_t completed, double spent) const;

 private:
  double rate_of_run(int64_t completed, double total) const;
  double warm_up(double n) const;
  double after_warm_up(double n, double share) const;
  double cosine_with_restarts(double updates) const;
  double wsd(double share) const;
  int64_t counted(int64_t completed) const;

  ScheduleConfig config_;
  double peak_;
  int64_t total_;
};

}  // namespace train
