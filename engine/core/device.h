// Where a tensor's memory lives and its kernels run. `cuda_host` is the CUDA backend compiled for the
// processor (engine/cuda): the same kernels, run by a stand-in for the GPU that checks what they do.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "engine/base/check.h"

namespace engine {

enum class Device : uint8_t { cpu, cuda, cuda_host };
constexpr int kDevices = 3;

const char* name_of(Device device);
/// "cpu", "cuda" or "cuda-host"; an Error that lists the names otherwise.
Device parse_device(const std::string& text);
inline std::ostream& operator<<(std::ostream& out, Device device) { return out << name_of(device); }

/// The device has no more memory, or is lost: what was begun on it cannot go on.
struct DeviceError : Error {
  using Error::Error;
};

/// Error: this build has no such device; it has these; do that.
[[noreturn]] void fail_without_backend(Device device);

}  // namespace engine
