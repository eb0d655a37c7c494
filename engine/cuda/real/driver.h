// The functions of NVIDIA's driver that NormLab calls, found in libcuda.so.1 when the device is opened.
//
// Handles are plain pointers here, so that this compiles without CUDA; a build with CUDA compares every type
// with cuda.h's (vendor_check.cc). Kernels are launched by cudart, which nvcc's code is linked to and which
// shares the driver's context and streams. Meaning of each: "CUDA Driver API" (docs.nvidia.com), under the
// name in driver.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/shared_library.h"

namespace engine::cuda {

using DevicePointer = unsigned long long;
using Handle = void*;  // of a context, stream, event or graph

/// Results that have a meaning of their own here; the rest are shown by name.
enum Result : int { kSuccess = 0, kOutOfMemory = 2, kStub = 34, kNoDevice = 100, kNotReady = 600 };

/// A device's UUID.
struct DeviceId {
  char bytes[16];
};

constexpr int kMajor = 75, kMinor = 76;  // attributes of a device: its compute capability

struct Driver {
  int (*init)(unsigned flags);
  int (*driver_version)(int* version);  // 1000 major + 10 minor, of the newest CUDA that it runs
  int (*device_count)(int* count);
  int (*device_get)(int* device, int ordinal);
  int (*device_name)(char* name, int length, int device);
  int (*device_attribute)(int* value, int attribute, int device);
  int (*device_id)(DeviceId* id, int device);
  int (*context_retain)(Handle* context, int device);
  int (*context_set_current)(Handle context);
  int (*context_synchronize)();
  int (*memory_info)(size_t* free, size_t* total);
  int (*memory_allocate)(DevicePointer* p, size_t bytes);
  int (*memory_free)(DevicePointer p);
  int (*pinned_allocate)(void** p, size_t bytes, unsigned flags);
  int (*pinned_free)(void* p);
  int (*copy)(DevicePointer to, DevicePointer from, size_t bytes, Handle stream);
  int (*fill)(DevicePointer to, unsigned char byte, size_t bytes, Handle stream);
  int (*stream_create)(Handle* stream, unsigned flags);
  int (*stream_destroy)(Handle stream);
  int (*stream_synchronize)(Handle stream);
  int (*stream_wait)(Handle stream, Handle event, unsigned flags);
  int (*event_create)(Handle* event, unsigned flags);
  int (*event_destroy)(Handle event);
  int (*event_record)(Handle event, Handle stream);
  int (*event_synchronize)(Handle event);
  int (*event_query)(Handle event);
  int (*capture_begin)(Handle stream, int mode);
  int (*capture_end)(Handle stream, Handle* graph);
  int (*graph_instantiate)(Handle* executable, Handle graph, unsigned long long flags);
  int (*graph_destroy)(Handle graph);
  int (*executable_launch)(Handle executable, Handle stream);
  int (*executable_destroy)(Handle executable);
  int (*error_name)(int result, const char** text);
  int (*error_text)(int result, const char** text);
};

/// Error: the library lacks one of them.
Driver find_driver(const SharedLibrary& library);

/// "CUDA_ERROR_INVALID_VALUE: invalid argument"
std::string describe(const Driver& driver, int result);
/// Whether the device, or the process's hold of it, is gone: nothing that follows can succeed.
bool is_lost(int result);

}  // namespace engine::cuda
