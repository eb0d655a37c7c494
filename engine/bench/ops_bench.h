// `normlab bench ops`: how fast the ops that wait for memory run, against the memory.
//
// Every row moves a known number of bytes; beside it a copy (engine/bench/copy_peak.h) on the same threads
// moves as many between two arrays that have been touched before: half of them read, half written. Samples of
// the two alternate. What counts is the fraction of the copy's bandwidth, because machines differ and
// neighbours disturb. On a GPU rows are sixteen times as large (`normlab bench ops`), so that they do not
// stay in its cache and take much longer than a launch. Over 100 %: an update in place or an op that mostly
// reads, where fewer lines are fetched only to be written.
#pragma once

#include <vector>

#include "engine/bench/result.h"
#include "engine/core/device.h"

namespace engine {

struct BenchOptions {
  int repeats = 9;   // samples of each row and of its copies, alternating; medians count
  double scale = 1;  // of every row's size: tests run a thousandth, GPUs sixteen times as much
  Device device = Device::cpu;
};

/// The rows whose op is `op` (all when empty), in GB/s of bytes that must be read and written once.
/// Error: an op that has no row, named with the nearest one that has.
std::vector<BenchResult> bench_ops(const std::string& op = {}, const BenchOptions& options = {});

}  // namespace engine
