// Where a tensor's memory lives.
#pragma once

#include <cstdint>
#include <ostream>

namespace engine {

enum class Device : uint8_t { cpu, cuda };

inline std::ostream& operator<<(std::ostream& out, Device device) {
  return out << (device == Device::cpu ? "cpu" : "cuda");
}

}  // namespace engine
