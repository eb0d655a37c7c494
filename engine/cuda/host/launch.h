// A launch: a kernel with its grid and its one argument by value, as CUDA keeps it.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>
#include <vector>

#include "engine/cuda/host/block.h"

namespace engine::standin {

struct Launch {
  void (*kernel)() = nullptr;                                      // of any type; `call` knows which
  void (*call)(void (*kernel)(), const void* argument) = nullptr;  // runs one thread
  std::vector<std::byte> argument;  // padding zeroed, so that two can be compared
  dim3 grid;
  uint32_t threads = 0;
  size_t shared_bytes = 0;
  Where where;
};

/// A KernelError for what CUDA refuses, or what some card that we build for would refuse.
void check_launch(const Launch& launch);

template <class Args>
Launch make_launch(void (*kernel)(Args), dim3 grid, int threads, size_t shared_bytes, const Args& args,
                   Where where) {
  static_assert(std::is_trivially_copyable_v<Args> && sizeof(Args) <= 4096,
                "a kernel takes one plain struct");
  Launch launch;
  launch.kernel = reinterpret_cast<void (*)()>(kernel);
  launch.call = [](void (*k)(), const void* argument) {
    reinterpret_cast<void (*)(Args)>(k)(*static_cast<const Args*>(argument));
  };
  Args copy = args;
  __builtin_clear_padding(&copy);
  launch.argument.resize(sizeof(Args));
  std::memcpy(launch.argument.data(), &copy, sizeof(Args));
  launch.grid = grid, launch.threads = uint32_t(threads), launch.shared_bytes = shared_bytes,
  launch.where = where;
  check_launch(launch);
  return launch;
}

/// Runs every block of the grid, in the order and on the workers that settings() say. begin_launch() was
/// called.
void run_launch(const Launch& launch);

}  // namespace engine::standin
