// Every read and write of a kernel comes through here, to be checked (and counted) before it is done.
#pragma once

#include "engine/cuda/host/device_memory.h"
#include "engine/cuda/host/where.h"

namespace engine::standin {

enum class Access : uint8_t { read, write };

/// `p` as kernels see it (kernel_view()); `block` the allocation that the pointer was made from.
void global_access(const Allocation* block, const void* p, unsigned size, Access access, Where where);
void shared_access(const void* p, unsigned size, Access access, Where where);

/// A copy of the runtime (not of a kernel) that reads or writes `bytes` from a device pointer on, in the
/// launch that is being carried out (order.h).
void copy_access(const void* device_pointer, size_t bytes, Access access, Where where);

}  // namespace engine::standin
