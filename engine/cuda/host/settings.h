// How the stand-in runs kernels: for tests, and for whoever looks for a mistake.
#pragma once

#include <cstdint>

namespace engine::standin {

/// The order of threads, warps and blocks. `random` is drawn from the seed, the same every time.
enum class Schedule : uint8_t { forward, reverse, random };

struct Settings {
  Schedule schedule = Schedule::forward;
  uint32_t seed = 1;
  int workers = 1;     // threads of the operating system that take blocks of a grid
  bool check = true;   // bounds, alignment, races, memory that nobody wrote; else only what CUDA does
  bool count = false;  // count.h
  uint64_t memory = uint64_t(64) << 30;  // bytes that the device has
};

/// The settings in use. At start those of NORMLAB_CUDA_HOST, a list such as
/// "random=7,workers=2,unchecked,memory=64" (MiB) (also "forward", "reverse"); an Error names a word that is
/// none of these. Changed only between launches.
Settings& settings();

}  // namespace engine::standin
