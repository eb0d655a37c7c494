// A block of threads on the stand-in, and how it is run.
//
// Every thread ("lane" of its warp) is a function call on a fiber. One runs at a time, until it waits: at a
// barrier, or at a warp's collective (shuffle, vote, mma) for the lanes of its mask. The last lane to come
// completes the collective for all, and goes on; the others are ready again. A kernel without barriers never
// switches: its threads run one after another on one stack, and a stack of its own is taken only when one
// waits.
//
// In which order threads and blocks run is the schedule's. A kernel that is right gives the same bits under
// every schedule; one that is wrong is usually found by the checks under all of them.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "engine/cuda/host/fiber.h"
#include "engine/cuda/host/stamp.h"
#include "engine/cuda/host/where.h"

namespace engine::standin {

/// A kernel's mistake. The message begins with the file and line of the access or call that showed it.
struct KernelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

/// What a lane may wait in.
enum class Collective : uint8_t { syncthreads, syncwarp, shuffle, vote, ldmatrix, mma };
const char* name_of(Collective kind);

struct AsyncCopy;  // async_copy.h

struct Lane {
  enum class State : uint8_t { fresh, ready, waiting, done };

  Index3 index;  // threadIdx: blocks have one dimension of threads
  uint32_t thread = 0, warp = 0, lane = 0;
  State state = State::fresh;
  Fiber* fiber = nullptr;  // the one that it waits on

  // While it waits: in what, for whom, and where its operands are (on its own stack).
  Collective kind{};
  uint32_t mask = 0;
  void* operands = nullptr;
  Where where;

  std::vector<AsyncCopy> copies;  // begun and not waited for
  Where last_copy;
  int copy_group = 0;
  std::vector<uint32_t> occurrences;  // count.h: how often each access site was passed
};

struct Block;
using CallKernel = void (*)(const void* call);  // calls the kernel with its argument, once per thread

struct Warp {
  // Collectives that some lanes have come to and others have not: more than one when masks are disjoint.
  struct Gathering {
    uint32_t mask = 0, arrived = 0;
    Collective kind{};
  };
  std::vector<Gathering> gatherings;
  uint32_t epoch = 1;           // __syncwarp()s passed
  std::vector<uint32_t> order;  // of its lanes under the schedule
  uint32_t started = 0;         // how many of `order` have begun
};

/// One block at a time; each worker thread has one of these and uses it again.
struct Block {
  Block();
  ~Block();

  Index3 index;         // blockIdx
  dim3 size, grid;      // blockDim, gridDim
  uint32_t number = 0;  // of the block in its grid
  uint32_t launch = 0;  // number of the launch, for stamps
  Where launched;       // where the launch stands
  CallKernel call = nullptr;
  const void* argument = nullptr;

  std::vector<Lane> lanes;
  std::vector<Warp> warps;
  uint32_t epoch = 1;                  // barriers passed
  uint32_t alive = 0, at_barrier = 0;  // lanes
  const Lane* barrier = nullptr;       // the first that came to it
  Lane* running = nullptr;

  char* shared = nullptr;  // the block's shared memory, and what is remembered of it
  size_t shared_bytes = 0, shared_capacity = 0;
  std::vector<Cell> cells;

  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Fiber*> idle;
  std::minstd_rand random;
  char error[768] = "";  // not a std::string: it may be written on a stack that is dropped
};

/// The block and the lane that run on this thread of the operating system.
Block& this_block();
Lane& this_lane();

/// Runs `block` to its end; its index, launch and sizes are set. A KernelError when the kernel is wrong.
void run_block(Block& block, uint32_t threads);

/// Gives the block `bytes` of fresh shared memory: NaN in every float type, written by nobody.
void prepare_shared(Block& block, size_t bytes);

/// Ends the launch with a KernelError "file:line: text (block, thread; launched at)". printf's format.
[[noreturn]] void kernel_error(const Where& where, const char* format, ...)
    __attribute__((format(printf, 2, 3)));

/// The running lane waits until another one makes it ready.
void wait_until_ready();

}  // namespace engine::standin
