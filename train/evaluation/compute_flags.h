// The flags of commands that compute with a model: --device, --threads and --precision, in one wording.
#pragma once

#include <vector>

#include "engine/base/check.h"
#include "engine/cpu/parallel.h"
#include "train/commands/cli.h"

namespace train {

inline std::vector<Flag> with_compute_flags(std::vector<Flag> flags) {
  const Flag shared[] = {{"precision", "f64|f32|bf16|f16", "what to compute in", "f32"},
                         {"device", "cpu|cuda|cuda-host", "where to compute", "cpu"},
                         {"threads", "N", "0: all processors; the result does not depend on it", "0"},
                         {"json", "", "one JSON object in place of a table"}};
  flags.insert(flags.end(), std::begin(shared), std::end(shared));
  return flags;
}

/// Sets the number of threads; an error where this build lacks the device.
inline void apply_compute_flags(const Arguments& args) {
  engine::check(args.text("device") == "cpu", "--device ", args.text("device"),
                ": this build computes on the cpu only");
  if (const int64_t threads = args.integer("threads", 0, 1024); threads > 0)
    engine::cpu::set_thread_count(int(threads));
}

}  // namespace train
