// Sets where f32 work counts as small (engine/kernel/wide.h) until the end of the scope.
#pragma once

#include "engine/kernel/wide.h"

class WideWorkScope {
 public:
  explicit WideWorkScope(int64_t multiply_adds) : before_(engine::wide_work(engine::Device::cpu)) {
    engine::set_wide_work(engine::Device::cpu, multiply_adds);
  }
  ~WideWorkScope() { engine::set_wide_work(engine::Device::cpu, before_); }
  WideWorkScope(const WideWorkScope&) = delete;
  WideWorkScope& operator=(const WideWorkScope&) = delete;

 private:
  int64_t before_;
};
