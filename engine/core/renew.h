// For a backend that checks what kernels read: told that a block is handed out again, so that what was
// written to it before counts as never written. Called by the allocator. Read first: memory.h.
#pragma once

#include <cstddef>

#include "engine/core/device.h"

namespace engine {

using Renew = void (*)(void* block, size_t bytes);
void set_renew(Device device, Renew renew);

}  // namespace engine
