// The flags of commands that compute: --device, --precision and --threads, in one wording.
#pragma once

#include <vector>

#include "engine/core/memory.h"
#include "engine/cpu/parallel.h"
#include "nn/precision.h"
#include "train/commands/cli.h"

namespace train {

inline const Flag device_flag = {"device", "cpu|cuda|cuda-host",
                                 "where to compute; cuda-host: the CUDA kernels, run by the CPU", "cpu"};
inline const Flag precision_flag = {"precision", "f64|f32|bf16|f16", "what to compute in", "f32"};

inline const Flag threads_flag = {"threads", "N", "0: all processors; the result does not depend on it", "0"};

inline std::vector<Flag> with_compute_flags(std::vector<Flag> flags) {
  const Flag shared[] = {
      precision_flag, device_flag, threads_flag, {"json", "", "one JSON object in place of a table"}};
  flags.insert(flags.end(), std::begin(shared), std::end(shared));
  return flags;
}

/// The device of --device. Error: it cannot be had.
inline engine::Device device_of(const Arguments& args) {
  const engine::Device device = engine::parse_device(args.text("device"));
  engine::require_device(device);
  return device;
}

/// What --precision and --device say.
inline nn::Precision precision_of(const Arguments& args) {
  nn::Precision precision = nn::Precision::of(engine::parse_dtype(args.text("precision")));
  precision.device = device_of(args);
  return precision;
}

/// Sets the number of threads.
inline void apply_threads(const Arguments& args) {
  if (const int64_t threads = args.integer("threads", 0, 1024); threads > 0)
    engine::cpu::set_thread_count(int(threads));
}

}  // namespace train
