// Two safetensors files hold the same tensors, to the last bit.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>

#include "engine/io/safetensors.h"

inline void check_same_tensors(const engine::Safetensors& a, const engine::Safetensors& b) {
  CHECK(a.entries().size() == b.entries().size());
  for (const engine::SafetensorsEntry& entry : a.entries()) {
    INFO(entry.name);
    REQUIRE(b.find(entry.name) != nullptr);
    const engine::Tensor x = a.load(entry.name), y = b.load(entry.name);
    REQUIRE(x.shape() == y.shape());
    REQUIRE(x.dtype() == y.dtype());
    CHECK(std::memcmp(x.raw(), y.raw(), size_t(x.bytes())) == 0);
  }
}
