// The device `cuda` as the rest of the engine knows it: memory, recorded steps, products. In a build without
// nvcc nobody calls this but tests: there are no kernels for it.
#include "engine/cuda/real/register.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "engine/base/check.h"
#include "engine/core/allocator.h"
#include "engine/core/graph.h"
#include "engine/core/side_queue.h"
#include "engine/cuda/real/cublaslt.h"

#if !defined(ENGINE_CUDA_ARCHITECTURES)
#define ENGINE_CUDA_ARCHITECTURES "none"
#define ENGINE_CUDA_VERSION 13000
#endif

namespace engine::cuda {
namespace {

// What is open, or why it cannot be opened. Never destroyed: tensors in static storage may outlive it.
struct Opened {
  std::mutex mutex;
  Options options{.cublaslt = {"libcublasLt.so." + std::to_string((ENGINE_CUDA_VERSION) / 1000)},
                  .architectures = ENGINE_CUDA_ARCHITECTURES,
                  .version = ENGINE_CUDA_VERSION};
  std::unique_ptr<Runtime> runtime;
  std::unique_ptr<Products> products;
  std::string refusal;
};
Opened& opened() {
  static Opened* const all = new Opened;
  return *all;
}

std::atomic<Runtime*> in_use = nullptr;

void open() {
  runtime();
  products();  // a library that is missing shows before anything is computed
}

}  // namespace

Runtime& runtime() {
  if (Runtime* device = in_use.load(std::memory_order_acquire)) [[likely]]
    return *device;
  Opened& o = opened();
  const std::lock_guard lock(o.mutex);
  check(o.refusal.empty(), o.refusal);
  if (!o.runtime) {
    try {
      o.runtime = std::make_unique<Runtime>(o.options);
      in_use.store(o.runtime.get(), std::memory_order_release);
    } catch (const Error& e) {
      o.refusal = e.what();
      throw;
    }
  }
  return *o.runtime;
}

Products& products() {
  Runtime& device = runtime();
  Opened& o = opened();
  const std::lock_guard lock(o.mutex);
  if (!o.products) o.products = std::make_unique<Products>(device);
  return *o.products;
}

void set_runtime_options(const Options& options) {
  Opened& o = opened();
  const std::lock_guard lock(o.mutex);
  o.products.reset();
  in_use = nullptr;
  o.runtime.reset();
  o.refusal.clear();
  o.options = options;
}

void register_device() {
  set_device_memory(Device::cuda,
                    {.allocate =
                         [](size_t bytes, Contents contents) {
                           void* block = runtime().allocate(bytes);
                           if (!block || contents != Contents::zeros) return block;
                           try {
                             runtime().fill(block, 0, bytes);
                           } catch (...) {
                             runtime().release(block);
                             throw;
                           }
                           return block;
                         },
                     .release = [](void* block, size_t) { runtime().release(block); },
                     .copy =
                         [](void* to, const void* from, size_t bytes, Transfer transfer) {
                           if (transfer == Transfer::from_host) return runtime().upload(to, from, bytes);
                           if (transfer == Transfer::to_host) return runtime().download(to, from, bytes);
                           runtime().copy_within(to, from, bytes);
                         },
                     .fill = [](void* block, int byte, size_t bytes) { runtime().fill(block, byte, bytes); },
                     .synchronize = [] { runtime().synchronize(); },
                     .open = open,
                     .available = [] { return runtime().available(); }});
  set_side_queue(Device::cuda, {.begin = [] { return runtime().begin_side(); },
                                .end = [] { return runtime().end_side(); },
                                .done = [](int64_t place) { return runtime().side_done(place); },
                                .identity = [] { return runtime().identity(); }});
  set_device_graphs(Device::cuda, {.begin = [] { runtime().begin_capture(); },
                                   .end = [] { return runtime().end_capture(); },
                                   .abandon = [] { runtime().abandon_capture(); },
                                   .replay = [](const void* graph) { runtime().replay(graph); },
                                   .destroy = [](void* graph) { runtime().destroy_graph(graph); },
                                   .difference = nullptr});
}

void refuse_launch(int error, const char* text) {
  runtime().expect(error, join_text("a launch (", text, ")").c_str());
}

}  // namespace engine::cuda

#if defined(ENGINE_HAS_cuda)
/// The name by which the linker keeps this file (CMakeLists.txt).
extern "C" const bool normlab_cuda_device = (engine::cuda::register_device(), true);
#endif
