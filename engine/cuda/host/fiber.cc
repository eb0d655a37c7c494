// Read first: fiber.h.
#include "engine/cuda/host/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>

#include "engine/base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace engine::standin {
namespace {

namespace context = boost::context::detail;

constexpr size_t kPage = 4096;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStack = 256 * 1024;  // its red zones make frames several times larger
#else
constexpr size_t kStack = 64 * 1024;
#endif

// The sanitizer's side of a switch. `leaving` keeps what the stack that is left needs when it is entered
// again.
inline void start_switch([[maybe_unused]] void** leaving, [[maybe_unused]] const void* bottom,
                         [[maybe_unused]] size_t size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(leaving, bottom, size);
#endif
}
inline void finish_switch([[maybe_unused]] void* entered, [[maybe_unused]] const void** from_bottom,
                          [[maybe_unused]] size_t* from_size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(entered, from_bottom, from_size);
#endif
}

}  // namespace

struct Fiber::Entry {
  static void begin(context::transfer_t from) {
    Fiber& fiber = *static_cast<Fiber*>(from.data);
    finish_switch(nullptr, &fiber.outside_bottom_, &fiber.outside_size_);
    fiber.outside_ = from.fctx;
    fiber.body_(fiber);
    __builtin_unreachable();
  }
};

Fiber::Fiber(Body body) : body_(body) {
  void* p = mmap(nullptr, kPage + kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
  check(p != MAP_FAILED, "cuda-host: no memory for the stack of a thread (", kStack, " bytes)");
  memory_ = static_cast<char*>(p);
  mprotect(memory_, kPage, PROT_NONE);  // a kernel whose frames are too large stops here
}

Fiber::~Fiber() {
  restart();
  munmap(memory_, kPage + kStack);
}

void Fiber::enter() {
  if (!context_) context_ = context::make_fcontext(memory_ + kPage + kStack, kStack, &Entry::begin);
  void* fake = nullptr;
  start_switch(&fake, memory_ + kPage, kStack);
  context_ = context::jump_fcontext(context_, this).fctx;
  finish_switch(fake, nullptr, nullptr);
}

void Fiber::leave() {
  start_switch(&fake_stack_, outside_bottom_, outside_size_);
  outside_ = context::jump_fcontext(outside_, this).fctx;
  finish_switch(fake_stack_, &outside_bottom_, &outside_size_);
}

void Fiber::restart() {
  context_ = nullptr;
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(memory_ + kPage, kStack);  // the red zones of dropped frames
#endif
}

}  // namespace engine::standin
