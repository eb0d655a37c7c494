// The device `cuda` handed to the rest of the engine. Read first: runtime.h.
#pragma once

#include "engine/cuda/real/runtime.h"

namespace engine::cuda {

class Products;

/// The process's products; the library is opened with the first. Error: cublaslt.h's.
Products& products();

/// Fills core's tables for Device::cuda. In a build with nvcc's kernels this happens before main().
void register_device();

/// After a launch that cudart refused. Most of its numbers are the driver's, which has no words for the
/// others. Error, DeviceError: Runtime::expect().
void refuse_launch(int error, const char* text);

}  // namespace engine::cuda
