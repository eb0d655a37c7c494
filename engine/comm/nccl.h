// Ranks whose tensors lie on GPUs, by NVIDIA's NCCL: bytes go from one card's memory to another's. The
// library is looked for when a run on several ranks has GPUs, as cuBLASLt is (engine/cuda/real): no program
// of ours depends on it. It only moves bytes; sums are ours, on the device, in the order of tree_sum.h, so
// that NCCL's choice of algorithms (some are not deterministic: nccl #1497, NVLS) cannot show.
//
// On the stand-in (cuda-host) the same calls are made where NORMLAB_NCCL names a library; the tests have one.
// Read first: communicator.h, engine/core/side_queue.h.
#pragma once

#include <memory>
#include <string>

#include "engine/comm/communicator.h"

namespace engine {

/// What is called of libnccl. Handles and enumerations are plain pointers and numbers here, so that this
/// compiles without NCCL; meaning of each: "NCCL API" (docs.nvidia.com), under the name in nccl_functions.h.
struct Nccl {
  struct Id {
    char bytes[128];
  };
  int (*version)(int* version);
  int (*unique_id)(Id* id);
  int (*join)(void** communicator, int size, Id id, int rank);
  int (*leave)(void* communicator);
  int (*group_begin)();
  int (*group_end)();
  int (*send)(const void* from, size_t count, int type, int peer, void* communicator, void* stream);
  int (*receive)(void* to, size_t count, int type, int peer, void* communicator, void* stream);
  int (*broadcast)(const void* from, void* to, size_t count, int type, int root, void* communicator,
                   void* stream);
  const char* (*error_text)(int result);

  std::string path;  // where it was found
};

/// NORMLAB_NCCL, or libnccl.so.2 where shared_library.h looks. Error: it is not there, or lacks a function.
std::shared_ptr<const Nccl> find_nccl();

/// What rank 0 makes and tells the others before all open their transports.
Nccl::Id new_nccl_id(const Nccl& nccl);

/// Error where NCCL refuses. Its functions put work on a stream of the device and return (transport.h,
/// enter()).
std::unique_ptr<Transport> open_nccl(std::shared_ptr<const Nccl> nccl, const Place& place,
                                     const Nccl::Id& id);

/// Lets the ranks' tensors on `device` travel by NCCL, where all ranks have it and a card of their own; else
/// a warning with the first one's reason, and they travel through the host's memory as before. All ranks take
/// part, after set_device_sharers().
void carry_by_nccl(Communicator& ranks, Device device);

}  // namespace engine
