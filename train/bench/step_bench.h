// Whole training steps on random tokens and weights, timed: `normlab bench step`. A step is the trainer's own
// (update.h) with one micro-batch and AdamW. Read first: update.h, engine/bench/result.h.
#pragma once

#include <string>
#include <vector>

#include "engine/bench/result.h"
#include "engine/comm/communicator.h"
#include "engine/core/device.h"
#include "engine/core/dtype.h"
#include "models/config.h"

namespace train {

/// A model and a batch that other tools are measured on too (tests/bench/compare_pytorch.py has the same).
struct StepWork {
  std::string name, about;
  int64_t layers, width, heads, vocabulary;
  models::Objective objective;
  int64_t rows, length;
};
const std::vector<StepWork>& step_works();
/// Error: no such work, with the nearest name.
const StepWork& find_step_work(const std::string& name);

struct StepOptions {
  std::string norms = "pre_ln";                  // preset or NormSpec text
  engine::DType precision = engine::DType::f32;  // what products compute in
  int64_t steps = 5;                             // timed ones, after the first
  engine::Device device = engine::Device::cpu;
  std::string against;  // another placement whose steps are timed in turn; "": none
};

/// tokens/s (ceiling: multiply-add peak / FLOPs per token, fraction: MFU), seconds of the first step and of
/// the parts of a step, and peak memory (ceiling of the tensors': what the memory plan of a run foresees).
/// On another device than the CPU: no ceiling of tokens/s (0), and its own memory.
/// With `against`: in place of the first step and memory a row with the median ratio of two neighbouring
/// steps.
std::vector<engine::BenchResult> bench_step(const StepWork& work, const StepOptions& options);

/// The same steps on all ranks, beside those of rank 0 by itself: tokens/s of all (ceiling: ranks times those
/// of one, fraction: the efficiency), what the exchange of gradients takes by itself, how much of it a step
/// is longer by, and the efficiency that rank_plan.h predicts from these times. `zero`: as parallel.zero. All
/// ranks take part; the results are rank 0's.
std::vector<engine::BenchResult> bench_step_on_ranks(const StepWork& work, const StepOptions& options,
                                                     engine::Communicator& communicator, int zero);

}  // namespace train
