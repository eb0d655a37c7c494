// The stand-in's memory as engine/core knows a device's.
#include "engine/core/memory.h"

#include "engine/base/check.h"
#include "engine/core/graph.h"
#include "engine/core/renew.h"
#include "engine/core/side_queue.h"
#include "engine/cuda/host/device_memory.h"
#include "engine/cuda/host/settings.h"
#include "engine/cuda/host/stream.h"

namespace engine::standin {
namespace {

/// Error: the stand-in's settings are wrong, or the system has no addresses for it. (That is no lack of
/// memory, which smaller batches would mend.)
void open() {
  settings();
  device_memory_use();
}

void* allocate(size_t bytes, Contents contents) {
  open();
  void* block = nullptr;
  try {
    block = device_allocate(bytes);
  } catch (const Error&) {
    synchronize_device();  // what was released may still be queued
    try {
      block = device_allocate(bytes);
    } catch (const Error&) {
      return nullptr;
    }
  }
  if (contents == Contents::zeros) current_stream().fill(block, 0, bytes);
  return block;
}

void release(void* block, size_t) { current_stream().release(block); }

void synchronize() {
  note_host_wait(Device::cuda_host);
  synchronize_device();
}

// From the host by way of a copy, as a GPU's backend does by way of pinned memory: nobody waits.
void copy(void* to, const void* from, size_t bytes, Transfer transfer) {
  Stream& stream = current_stream();
  if (transfer == Transfer::from_host) return stream.upload(to, from, bytes);
  stream.copy(to, from, bytes);
  if (transfer == Transfer::within) return;
  note_host_wait(Device::cuda_host);
  stream.synchronize();
}

void fill(void* block, int byte, size_t bytes) { current_stream().fill(block, byte, bytes); }

void begin_graph() { current_stream().begin_capture(); }
void* end_graph() { return new Graph(current_stream().end_capture()); }
void abandon_graph() { current_stream().end_capture(); }
void replay_graph(const void* graph) { current_stream().replay(*static_cast<const Graph*>(graph)); }
void destroy_graph(void* graph) {
  current_stream().synchronize();  // a replay may be queued
  delete static_cast<Graph*>(graph);
}
std::string graph_difference(const void* recorded, const void* now) {
  return difference(*static_cast<const Graph*>(recorded), *static_cast<const Graph*>(now));
}

// Collectives happen at once: by the time that begin() returns, all that was asked for before is done. A library gets
// how far from device pointers their memory can be reached.
void* begin_side() {
  synchronize_device();
  return &view_distance;
}
int64_t end_side() { return 0; }
bool side_done(int64_t) {
  synchronize_device();
  return true;
}

}  // namespace
}  // namespace engine::standin

/// The name by which the linker keeps this file (CMakeLists.txt).
extern "C" const bool normlab_cuda_host_memory = [] {
  using namespace engine;
  set_renew(Device::cuda_host,
            [](void* block, size_t bytes) { standin::current_stream().renew(block, bytes); });
  set_device_memory(Device::cuda_host, {.allocate = standin::allocate,
                                        .release = standin::release,
                                        .copy = standin::copy,
                                        .fill = standin::fill,
                                        .synchronize = standin::synchronize,
                                        .open = standin::open});
  set_side_queue(Device::cuda_host,
                 {.begin = standin::begin_side, .end = standin::end_side, .done = standin::side_done});
  set_device_graphs(Device::cuda_host, {.begin = standin::begin_graph,
                                        .end = standin::end_graph,
                                        .abandon = standin::abandon_graph,
                                        .replay = standin::replay_graph,
                                        .destroy = standin::destroy_graph,
                                        .difference = standin::graph_difference});
  return true;
}();
