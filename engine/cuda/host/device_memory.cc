// Read first: device_memory.h.
#include "engine/cuda/host/device_memory.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "engine/base/check.h"
#include "engine/cuda/host/settings.h"

namespace engine::standin {
namespace {

constexpr size_t kCapacity = size_t(64) << 30;  // addresses; pages are taken when they are first touched
constexpr size_t kAlign = 256, kGap = 256;  // a gap keeps "one past the end" of a block out of the next one
constexpr size_t kPage = 4096;

struct Pool {
  char* device = nullptr;               // what the host holds: no access
  char* view = nullptr;                 // what kernels use
  std::map<size_t, Allocation> blocks;  // by offset
  std::map<size_t, size_t> gaps;        // free: offset -> bytes, neighbours joined
  DeviceMemoryUse use;

  Pool() {
    const int file = memfd_create("cuda-host", MFD_CLOEXEC);
    check(file >= 0 && ftruncate(file, off_t(kCapacity)) == 0, "cuda-host: the system gives no memory");
    const auto map = [&](int access) {
      void* p = mmap(nullptr, kCapacity, access, MAP_SHARED | MAP_NORESERVE, file, 0);
      check(p != MAP_FAILED, "cuda-host: the system gives no addresses for device memory");
      return static_cast<char*>(p);
    };
    device = map(PROT_NONE);
    view = map(PROT_READ | PROT_WRITE);
    close(file);
    gaps[0] = kCapacity;
    use.capacity = kCapacity;
    view_distance = view - device;
  }
};

Pool& pool() {
  static Pool* p = new Pool;  // never destroyed: tensors with static lifetime may be released after it
  return *p;
}
Pool* pool_in_use = nullptr;  // for the signal handler, which must not construct one

struct sigaction previous_handler;

// Somebody used a device pointer without global(). Says so, then lets the fault happen again under whatever
// handler there was before.
void on_fault(int signal, siginfo_t* info, void* machine) {
  const char* address = static_cast<const char*>(info->si_addr);
  sigaction(signal, &previous_handler, nullptr);
  if (!pool_in_use || address < pool_in_use->device || address >= pool_in_use->device + kCapacity) return;
#if defined(__x86_64__)
  const void* at =
      reinterpret_cast<const void*>(static_cast<ucontext_t*>(machine)->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  const void* at = reinterpret_cast<const void*>(static_cast<ucontext_t*>(machine)->uc_mcontext.pc);
#else
  const void* at = nullptr;
#endif
  Dl_info module{};
  dladdr(at, &module);
  const Allocation* block = allocation_of(address);
  char text[768];
  int n = std::snprintf(text, sizeof text,
                        "cuda-host: a device pointer was followed without global(): address %p",
                        static_cast<const void*>(address));
  if (block)
    n += std::snprintf(text + n, sizeof text - size_t(n), ", byte %zd of a block of %zu",
                       kernel_view(address) - block->begin, block->bytes);
  if (module.dli_fname)
    n += std::snprintf(text + n, sizeof text - size_t(n), "; the line: addr2line -Cfpe %s %#zx",
                       module.dli_fname,
                       size_t(static_cast<const char*>(at) - static_cast<const char*>(module.dli_fbase)));
  text[n++] = '\n';
  if (write(STDERR_FILENO, text, size_t(n)) < 0) return;
}

// Test frameworks put their own handlers in and take them out again, so this is looked after at every
// allocation.
void watch_faults() {
  struct sigaction now {};
  sigaction(SIGSEGV, nullptr, &now);
  if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == &on_fault) return;
  struct sigaction ours {};
  ours.sa_sigaction = &on_fault;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &ours, &previous_handler);
}

// Pages wholly inside [offset, offset + bytes) go back to the system; they read as zeros when touched again.
void return_pages(Pool& p, size_t offset, size_t bytes) {
  const size_t first = (offset + kPage - 1) / kPage * kPage, last = (offset + bytes) / kPage * kPage;
  if (last > first) madvise(p.view + first, last - first, MADV_REMOVE);
}

}  // namespace

ptrdiff_t view_distance = 0;

void* device_allocate(size_t bytes) {
  Pool& p = pool();
  pool_in_use = &p;
  watch_faults();
  const size_t taken = (std::max<size_t>(bytes, 1) + kAlign - 1) / kAlign * kAlign + kGap;
  auto gap = std::find_if(p.gaps.begin(), p.gaps.end(), [&](const auto& g) { return g.second >= taken; });
  const size_t capacity = std::min<size_t>(kCapacity, settings().memory);
  check(p.use.in_use + bytes <= capacity && gap != p.gaps.end(),
        "cuda-host: out of device memory: asked for ", bytes, " bytes, ", p.use.in_use, " of ", capacity,
        " in use");
  const auto [offset, room] = *gap;
  p.gaps.erase(gap);
  if (room > taken) p.gaps[offset + taken] = room - taken;

  Allocation block;
  block.begin = p.view + offset, block.bytes = bytes;
  std::memset(block.begin, 0xff, bytes);
  if (settings().check) {
    block.cells = static_cast<Cell*>(std::calloc((bytes + 1) / 2 + 1, sizeof(Cell)));
    check(block.cells != nullptr, "cuda-host: no memory for the checks of ", bytes,
          " bytes of device memory (NORMLAB_CUDA_HOST=unchecked goes without)");
  }
  if (settings().count)
    block.sectors = static_cast<uint32_t*>(std::calloc((bytes + 31) / 32 + 1, sizeof(uint32_t)));
  p.blocks.emplace(offset, block);
  p.use.in_use += bytes;
  p.use.peak = std::max(p.use.peak, p.use.in_use);
  return p.device + offset;
}

void device_release(void* pointer) {
  if (!pointer) return;
  Pool& p = pool();
  size_t offset = size_t(static_cast<char*>(pointer) - p.device);
  const auto found = p.blocks.find(offset);
  check(found != p.blocks.end(), "cuda-host: released what was never allocated, or twice");
  const Allocation block = found->second;
  std::memset(block.begin, 0xff, std::min(block.bytes, kPage));
  return_pages(p, offset, block.bytes);
  std::free(block.cells);
  std::free(block.sectors);
  p.blocks.erase(found);
  p.use.in_use -= block.bytes;

  size_t bytes = (std::max<size_t>(block.bytes, 1) + kAlign - 1) / kAlign * kAlign + kGap;
  auto next = p.gaps.lower_bound(offset);
  if (next != p.gaps.end() && next->first == offset + bytes) bytes += next->second, next = p.gaps.erase(next);
  if (next != p.gaps.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += bytes;
      return;
    }
  }
  p.gaps[offset] = bytes;
}

void device_renew(void* pointer, size_t bytes) {
  Allocation* block = allocation_of(pointer);
  check(block != nullptr, "cuda-host: memory is handed out again that was released");
  const size_t offset = size_t(kernel_view(static_cast<char*>(pointer)) - block->begin);
  std::memset(block->begin + offset, 0xff, std::min(bytes, block->bytes - offset));
  for (size_t i = offset / 2; block->cells && i < (std::min(block->bytes, offset + bytes) + 1) / 2; ++i)
    block->cells[i] = Cell{};
}

Allocation* allocation_of(const void* pointer) {
  if (!is_device_pointer(pointer)) return nullptr;
  Pool& p = *pool_in_use;
  const size_t offset = size_t(static_cast<const char*>(pointer) - p.device);
  auto after = p.blocks.upper_bound(offset);
  if (after == p.blocks.begin()) return nullptr;
  --after;
  return offset <= after->first + after->second.bytes ? &after->second : nullptr;
}

bool is_device_pointer(const void* pointer) {
  const char* c = static_cast<const char*>(pointer);
  return pool_in_use && c >= pool_in_use->device && c < pool_in_use->device + kCapacity;
}

DeviceMemoryUse device_memory_use() { return pool().use; }

void forget_launches() {
  if (!pool_in_use) return;
  for (auto& [offset, block] : pool_in_use->blocks)
    for (size_t i = 0; block.cells && i < (block.bytes + 1) / 2; ++i)
      block.cells[i] = Cell{block.cells[i].writer == kNever ? kNever : kLongAgo};
}

}  // namespace engine::standin
