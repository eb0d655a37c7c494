// Read first: device.h.
#include "engine/core/device.h"

#include "engine/base/check.h"

namespace engine {
namespace {
constexpr const char* kNames[kDevices] = {"cpu", "cuda", "cuda-host"};
}

const char* name_of(Device device) { return kNames[int(device)]; }

Device parse_device(const std::string& text) {
  for (int i = 0; i < kDevices; ++i)
    if (text == kNames[i]) return Device(i);
  fail("device ", text, ": expected cpu, cuda or cuda-host");
}

}  // namespace engine
