// X(member, symbol): the driver's functions under their names in libcuda.so.1, with the version that cuda.h's
// macros choose. driver.cc looks them up, vendor_check.cc compares their types with cuda.h's.
#define ENGINE_DRIVER_FUNCTIONS(X)                  \
  X(init, cuInit)                                   \
  X(driver_version, cuDriverGetVersion)             \
  X(device_count, cuDeviceGetCount)                 \
  X(device_get, cuDeviceGet)                        \
  X(device_name, cuDeviceGetName)                   \
  X(device_attribute, cuDeviceGetAttribute)         \
  X(device_id, cuDeviceGetUuid_v2)                  \
  X(context_retain, cuDevicePrimaryCtxRetain)       \
  X(context_set_current, cuCtxSetCurrent)           \
  X(context_synchronize, cuCtxSynchronize)          \
  X(memory_info, cuMemGetInfo_v2)                   \
  X(memory_allocate, cuMemAlloc_v2)                 \
  X(memory_free, cuMemFree_v2)                      \
  X(pinned_allocate, cuMemHostAlloc)                \
  X(pinned_free, cuMemFreeHost)                     \
  X(copy, cuMemcpyAsync)                            \
  X(fill, cuMemsetD8Async)                          \
  X(stream_create, cuStreamCreate)                  \
  X(stream_destroy, cuStreamDestroy_v2)             \
  X(stream_synchronize, cuStreamSynchronize)        \
  X(stream_wait, cuStreamWaitEvent)                 \
  X(event_create, cuEventCreate)                    \
  X(event_destroy, cuEventDestroy_v2)               \
  X(event_record, cuEventRecord)                    \
  X(event_synchronize, cuEventSynchronize)          \
  X(event_query, cuEventQuery)                      \
  X(capture_begin, cuStreamBeginCapture_v2)         \
  X(capture_end, cuStreamEndCapture)                \
  X(graph_instantiate, cuGraphInstantiateWithFlags) \
  X(graph_destroy, cuGraphDestroy)                  \
  X(executable_launch, cuGraphLaunch)               \
  X(executable_destroy, cuGraphExecDestroy)         \
  X(error_name, cuGetErrorName)                     \
  X(error_text, cuGetErrorString)
