// `normlab bench ops --device cuda-host --traffic`: what kernels ask of a GPU's memory, counted while the
// stand-in runs them (engine/cuda/host/count.h), beside the bytes that must move. The time that follows is a
// prediction, for an H100 whose rates are written there; nothing here has been measured on a GPU.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace engine {

/// Counts of one row of the table, of one launch's line in a step, or of a whole step.
struct TrafficCount {
  std::string name;
  double launches = 0;
  double dram_read = 0, dram_write = 0;    // bytes that cross to memory: every sector once a launch
  double asked = 0;                        // bytes that lanes ask for
  double sector_bytes = 0;                 // that their warps' instructions take, in sectors of 32 bytes
  double sector_factor = 1;                // sectors of 32 bytes that warps take, over the fewest
  double conflict_factor = 1;              // passes over the banks of shared memory, over the fewest
  double matrix_flop = 0, other_flop = 0;  // of tensor cores; of f32 and f64 products
  double seconds = 0;                      // predicted
  double least = 0;  // bytes that must cross: inputs and results once, partial sums twice; 0: unknown
};

/// Forward and backward of the ops that wait for memory, and of attention, in bf16 (statistics and parameters
/// in f32) at sizes that a processor counts in seconds. Rows whose op is `op`; all when empty. Error: no such
/// op, or this build has no stand-in.
std::vector<TrafficCount> count_ops(const std::string& op = {});

/// What the function that `prepare` returns asks of the device cuda_host, launch by launch in order, each by
/// the name of its line. (Memory has to be taken while counting is on; what `prepare` itself does is not
/// counted.) Error: this build has no stand-in.
std::vector<TrafficCount> count_launches(const std::function<std::function<void()>()>& prepare);
/// Seconds that an H100 takes at least for the bytes and operations of one launch: a prediction.
double predicted_seconds(const TrafficCount& launch);

/// Seconds that an H100 needs at least for so many operations of bf16 products, as its fastest products went.
double seconds_of_products(double flop);

}  // namespace engine
