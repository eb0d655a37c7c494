// A library with the driver's functions, for tests of what calls them: a device whose memory is the host's,
// whose streams do everything at once, and whose recordings keep copies and fills. It fails where it is told
// to.
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "fake_device.h"

extern "C" FakeDevice fake_device;
FakeDevice fake_device;

namespace {

using Graph = std::vector<std::function<void()>>;
std::map<uint64_t, size_t> blocks;
Graph* capturing = nullptr;

int answer(const char* function) {
  if (std::string(fake_device.failing) != function) return 0;
  return fake_device.failing_after-- > 0 ? 0 : fake_device.failing_result;
}
int carry_out(const char* function, std::function<void()> work) {
  if (const int error = answer(function)) return error;
  if (capturing)
    capturing->push_back(std::move(work));
  else
    work();
  return 0;
}
void* fresh(int& count) {
  ++count;
  return std::malloc(1);
}
int gone(void* handle, int& count) {
  --count;
  std::free(handle);
  return 0;
}

}  // namespace

extern "C" {

int cuInit(unsigned) { return fake_device.init_result; }
int cuDriverGetVersion(int* version) {
  *version = fake_device.version;
  return answer("cuDriverGetVersion");
}
int cuDeviceGetCount(int* count) {
  *count = fake_device.devices;
  return 0;
}
int cuDeviceGet(int* device, int ordinal) {
  *device = fake_device.opened = ordinal;
  return ordinal < fake_device.devices ? 0 : 101;
}
int cuDeviceGetName(char* name, int length, int) {
  std::strncpy(name, "Fake GPU", size_t(length));
  return 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? fake_device.major : fake_device.minor;
  return attribute == 75 || attribute == 76 ? 0 : 1;
}
int cuDeviceGetUuid_v2(char* id, int device) {
  std::memset(id, 'a' + device, 16);
  return answer("cuDeviceGetUuid_v2");
}
int cuDevicePrimaryCtxRetain(void** context, int) {
  *context = &fake_device;
  return answer("cuDevicePrimaryCtxRetain");
}
int cuCtxSetCurrent(void*) {
  ++fake_device.threads;
  return 0;
}
int cuCtxSynchronize() {
  ++fake_device.waits;
  return answer("cuCtxSynchronize");
}
int cuMemGetInfo_v2(size_t* free, size_t* total) {
  *free = fake_device.capacity - fake_device.used, *total = fake_device.capacity;
  return 0;
}
int cuMemAlloc_v2(unsigned long long* p, size_t bytes) {
  if (fake_device.used + bytes > fake_device.capacity) return 2;
  *p = reinterpret_cast<uintptr_t>(std::aligned_alloc(256, (bytes + 255) / 256 * 256));
  std::memset(reinterpret_cast<void*>(*p), 0xff, bytes);
  blocks[*p] = bytes, fake_device.used += bytes, ++fake_device.blocks;
  return 0;
}
int cuMemFree_v2(unsigned long long p) {
  const auto found = blocks.find(p);
  if (found == blocks.end()) return 1;
  fake_device.used -= found->second, --fake_device.blocks;
  blocks.erase(found);
  std::free(reinterpret_cast<void*>(p));
  return 0;
}
int cuMemHostAlloc(void** p, size_t bytes, unsigned) {
  *p = std::malloc(bytes);
  ++fake_device.pinned;
  return answer("cuMemHostAlloc");
}
int cuMemFreeHost(void* p) { return gone(p, fake_device.pinned); }
int cuMemcpyAsync(unsigned long long to, unsigned long long from, size_t bytes, void*) {
  return carry_out("cuMemcpyAsync", [=] {
    ++fake_device.copies;
    std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes);
  });
}
int cuMemsetD8Async(unsigned long long to, unsigned char byte, size_t bytes, void*) {
  return carry_out("cuMemsetD8Async", [=] {
    ++fake_device.fills;
    std::memset(reinterpret_cast<void*>(to), byte, bytes);
  });
}
int cuStreamCreate(void** stream, unsigned flags) {
  *stream = fresh(fake_device.streams);
  return flags == 1 ? answer("cuStreamCreate") : 1;
}
int cuStreamDestroy_v2(void* stream) { return gone(stream, fake_device.streams); }
int cuStreamSynchronize(void*) {
  ++fake_device.waits;
  return answer("cuStreamSynchronize");
}
int cuStreamWaitEvent(void*, void*, unsigned) { return 0; }
int cuEventCreate(void** event, unsigned) {
  *event = fresh(fake_device.events);
  return 0;
}
int cuEventDestroy_v2(void* event) { return gone(event, fake_device.events); }
int cuEventRecord(void*, void*) { return answer("cuEventRecord"); }
int cuEventSynchronize(void*) {
  ++fake_device.waits;
  return answer("cuEventSynchronize");
}
int cuEventQuery(void*) {
  ++fake_device.queries;
  return answer("cuEventQuery");
}
int cuStreamBeginCapture_v2(void*, int mode) {
  if (capturing || mode != 2) return 901;
  capturing = new Graph;
  return answer("cuStreamBeginCapture_v2");
}
int cuStreamEndCapture(void*, void** graph) {
  if (!capturing) return 901;
  *graph = capturing, capturing = nullptr;
  ++fake_device.graphs;
  return answer("cuStreamEndCapture");
}
int cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
  *executable = new Graph(*static_cast<Graph*>(graph));
  ++fake_device.executables;
  return answer("cuGraphInstantiateWithFlags");
}
int cuGraphDestroy(void* graph) {
  delete static_cast<Graph*>(graph);
  --fake_device.graphs;
  return 0;
}
int cuGraphLaunch(void* executable, void*) {
  if (const int error = answer("cuGraphLaunch")) return error;
  ++fake_device.launches;
  for (const auto& work : *static_cast<Graph*>(executable)) work();
  return 0;
}
int cuGraphExecDestroy(void* executable) {
  delete static_cast<Graph*>(executable);
  --fake_device.executables;
  return 0;
}
int cuGetErrorName(int error, const char** text) {
  *text = error == 700   ? "CUDA_ERROR_ILLEGAL_ADDRESS"
          : error == 100 ? "CUDA_ERROR_NO_DEVICE"
                         : "CUDA_ERROR_OTHER";
  return 0;
}
int cuGetErrorString(int, const char** text) {
  *text = "as the fake was told";
  return 0;
}

}  // extern "C"
