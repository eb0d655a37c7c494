// The collectives of training by themselves, under a launcher: `normlab bench comm`. Read first:
// engine/comm/communicator.h, engine/bench/result.h.
#pragma once

#include <vector>

#include "engine/bench/result.h"
#include "engine/comm/communicator.h"

namespace train {

/// GB/s of f32 gradients that are summed, gathered, and both, in buckets of `bucket_mib` MiB; the median of
/// `repeats`. The ceiling is a copy of the same bytes on this machine, all ranks at once. All ranks take
/// part; the results are rank 0's.
std::vector<engine::BenchResult> bench_comm(engine::Communicator& communicator,
                                            const std::vector<double>& bucket_mib, int repeats);

/// Seconds, the median of `repeats`, of one sum over `elements` f32 gradients in buckets, and of gathering
/// as many 16-bit (f32) weights: what an update exchanges.
double seconds_of_exchange(engine::Communicator& communicator, int64_t elements, double bucket_mib, int repeats);

}  // namespace train
