// Sets where f32 work counts as small on a device (engine/kernel/wide.h) until the end of the scope.
#pragma once

#include "engine/kernel/wide.h"

class WideWorkScope {
 public:
  explicit WideWorkScope(int64_t multiply_adds, engine::Device device = engine::Device::cpu)
      : device_(device), before_(engine::wide_work(device)) {
    engine::set_wide_work(device, multiply_adds);
  }
  ~WideWorkScope() { engine::set_wide_work(device_, before_); }
  WideWorkScope(const WideWorkScope&) = delete;
  WideWorkScope& operator=(const WideWorkScope&) = delete;

 private:
  engine::Device device_;
  int64_t before_;
};
