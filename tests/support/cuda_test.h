// For tests that write kernels of their own and run them on the stand-in.
#pragma once

#include <string>
#include <vector>

#include "engine/cuda/gpu.h"
#include "engine/cuda/host/device_memory.h"
#include "engine/cuda/host/settings.h"

namespace engine::cuda_host {

/// n elements of device memory; NaN until something is written.
template <class T>
struct DeviceArray {
  T* p;
  size_t n;

  explicit DeviceArray(size_t count)
      : p(static_cast<T*>(standin::device_allocate(count * sizeof(T)))), n(count) {}
  DeviceArray(size_t count, const std::vector<T>& values) : DeviceArray(count) { write(values); }
  ~DeviceArray() { current_stream().release(p); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  void write(const std::vector<T>& values) {
    current_stream().copy(p, values.data(), values.size() * sizeof(T));
    current_stream().synchronize();
  }
  std::vector<T> read() const {
    std::vector<T> values(n);
    current_stream().copy(values.data(), p, n * sizeof(T));
    current_stream().synchronize();
    return values;
  }
};

/// Launches and waits.
template <class Shared, class Args>
void run(void (*kernel)(Args), dim3 grid, int threads, const Args& args, Where where = Where::here()) {
  launch<Shared>(kernel, grid, threads, current_stream(), args, where);
  current_stream().synchronize();
}

/// Calls f with threads and blocks running forward, backward and in two random orders.
template <class F>
void under_every_schedule(F&& f) {
  const standin::Settings before = standin::settings();
  for (const standin::Schedule schedule : {standin::Schedule::forward, standin::Schedule::reverse})
    standin::settings().schedule = schedule, f();
  standin::settings().schedule = standin::Schedule::random;
  for (const uint32_t seed : {1u, 2u}) standin::settings().seed = seed, f();
  standin::settings() = before;
}

}  // namespace engine::cuda_host
