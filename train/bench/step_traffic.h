// `normlab bench step WORK --device cuda-host --traffic`: what a step would ask of a GPU, and the time that
// follows: a prediction, made on a processor. Read first: step_bench.h, engine/bench/traffic_bench.h.
//
// The stand-in would take hours for a step of millions of parameters on thousands of tokens. But how much a
// launch moves and multiplies is a sum of a few terms, each a product of sizes: with N tokens in rows of T, a
// vocabulary of V and M scored rows
//   a + b T + c N + d N T + e V + f M V        (M = N for a causal LM; g M where it is not)
// So steps of one and two layers are counted at as many small sizes as there are terms, launch by launch,
// which gives the terms, and those the launches of the work. The head's products run in as many chunks as
// the loss would have. Each launch is given the time of its own slowest resource.
#pragma once

#include "engine/bench/traffic_bench.h"
#include "train/bench/step_bench.h"

namespace train {

struct StepTraffic {
  std::vector<engine::TrafficCount> launches;  // by the line that launches, the longest first
  engine::TrafficCount step;                   // their sum
  double floor = 0;     // seconds that the products of the formula behind MFU take at least
  std::string counted;  // how far it was counted, and how far continued
};
StepTraffic predict_step(const StepWork& work, const StepOptions& options);

/// The same counted as it is, in one small step.
StepTraffic count_step(const StepWork& work, const StepOptions& options);

}  // namespace train
