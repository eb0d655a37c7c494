// The device `cuda` handed to the rest of the engine. Read first: runtime.h.
#pragma once

#include "engine/cuda/real/runtime.h"

namespace engine::cuda {

class Products;

/// The process's products; the library is opened with the first. Error: cublaslt.h's.
Products& products();

/// Fills core's tables for Device::cuda. In a build with nvcc's kernels this happens before main().
void register_device();

/// What a launch by cudart answered, whose numbers are the driver's. Error, DeviceError: Runtime::expect().
void check_launch(int error);

}  // namespace engine::cuda
