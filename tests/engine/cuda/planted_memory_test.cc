// Planted mistakes with shared and global memory and with asynchronous copies. Read first: planted.h.
#include "planted.h"

namespace engine::cuda_host {
namespace {

struct Shared {
  SharedArray<float, kThreads> x, y;
};
struct SharedArgs {
  float* out;
  int mistake;
};
enum SharedMistake {
  no_mistake,
  no_barrier,
  unwritten,
  out_of_bounds,
  misaligned,
  write_after_read,
  all_write_one,
  neighbour_lane,
  only_a_shuffle_between,
};
void shared_kernel(SharedArgs a) {
  auto& s = block_shared<Shared>();
  const int t = int(threadIdx.x), lane = t % 32;
  if (a.mistake != unwritten || t < 32) s.x[t] = float(t);
  if (a.mistake == out_of_bounds) PLANTED(s.y[t + 1] = 0.0f);
  if (a.mistake == misaligned) PLANTED(store_pack(s.y.at(2), Pack16<float>{}));
  if (a.mistake == all_write_one) PLANTED(s.y[0] = float(t));
  if (a.mistake == neighbour_lane || a.mistake == only_a_shuffle_between) {
    if (a.mistake == only_a_shuffle_between) __shfl_sync(kFull, t, 0);
    PLANTED(if (s.x[t / 32 * 32 + (lane ^ 1)] > 1e9f) return );
  }
  if (a.mistake != no_barrier) __syncthreads();
  float sum = 0;
  for (int i = 0; i < kThreads; ++i) PLANTED(sum += float(s.x[i]));
  if (a.mistake == write_after_read) PLANTED(s.x[t] = sum);
  global(a.out)[t] = sum;
}
void run_shared(int mistake) {
  DeviceArray<float> out(kThreads);
  run<Shared, SharedArgs>(shared_kernel, 1, kThreads, {out.p, mistake});
  CHECK(out.read()[5] == kThreads * (kThreads - 1) / 2);
}

TEST_CASE("shared memory") {
  under_every_schedule([] { run_shared(no_mistake); });
  SECTION("no barrier before others' values are read") {
    caught("with no barrier between|is read but nobody wrote it", [] { run_shared(no_barrier); });
  }
  SECTION("a part that nobody wrote") {
    caught("is read but nobody wrote it", [] { run_shared(unwritten); });
  }
  SECTION("past the end of an array, into the next or out of the block's memory") {
    caught("shared memory: element 64 of an array of 64", [] { run_shared(out_of_bounds); });
  }
  SECTION("a pack that is not aligned") {
    caught("is not aligned to 16", [] { run_shared(misaligned); });
  }
  SECTION("no barrier before what others still read is overwritten") {
    caught("with no barrier between", [] { run_shared(write_after_read); });
  }
  SECTION("all threads write one element") {
    caught("race in shared memory: byte 256 written, thread", [] { run_shared(all_write_one); });
  }
  SECTION("a lane reads its neighbour's store") {
    caught("race in shared memory|is read but nobody wrote it", [] { run_shared(neighbour_lane); });
  }
  SECTION("a shuffle is no __syncwarp") {
    caught("race in shared memory", [] { run_shared(only_a_shuffle_between); });
  }
}

TEST_CASE("the launch gives less shared memory than the kernel uses") {
  struct Args {
    int unused;
  };
  caught("bytes of shared memory, the launch gave 0",
         [] { run<NoShared, Args>([](Args) { PLANTED(block_shared<Shared>()); }, 1, 32, {0}); });
}

struct CopyShared {
  SharedArray<float, 2 * kThreads * 4> stage;
};
struct CopyArgs {
  const float* x;
  float* out;
  int tiles, mistake;
};
enum CopyMistake {
  copies_right,
  no_wait,
  waits_for_too_few,
  no_barrier_after_wait,
  refilled_too_early,
  never_waited
};
void copy_kernel(CopyArgs a) {
  auto& s = block_shared<CopyShared>();
  const auto x = global(a.x);
  const int t = int(threadIdx.x);
  constexpr int kTile = kThreads * 4;
  const auto fetch = [&](int tile) {
    PLANTED(cp_async_16(s.stage.at(tile % 2 * kTile + t * 4), x + (tile * kTile + t * 4), true));
    cp_async_commit();
  };
  float sum = 0;
  fetch(0);
  for (int tile = 0; tile < a.tiles; ++tile) {
    if (tile + 1 < a.tiles) fetch(tile + 1);
    if (a.mistake == waits_for_too_few)
      cp_async_wait<2>();
    else if (a.mistake != no_wait && a.mistake != never_waited)
      tile + 1 < a.tiles ? cp_async_wait<1>() : cp_async_wait<0>();
    if (a.mistake != no_barrier_after_wait) __syncthreads();
    if (a.mistake != never_waited)
      for (int i = 0; i < 4; ++i)
        PLANTED(sum += float(s.stage[tile % 2 * kTile + (t + 33) % kThreads * 4 + i]));
    if (a.mistake != refilled_too_early) __syncthreads();
  }
  global(a.out)[t] = sum;
}
void run_copy(int mistake, int tiles = 4) {
  DeviceArray<float> x(size_t(tiles) * kThreads * 4, std::vector<float>(size_t(tiles) * kThreads * 4, 1.0f)),
      out(kThreads);
  run<CopyShared, CopyArgs>(copy_kernel, 1, kThreads, {x.p, out.p, tiles, mistake});
  CHECK(out.read()[0] == 4 * tiles);
}

TEST_CASE("asynchronous copies") {
  under_every_schedule([] { run_copy(copies_right); });
  SECTION("used before they are waited for") {
    caught("while an asynchronous copy fills it", [] { run_copy(no_wait); });
  }
  SECTION("the wait leaves one group too many on its way") {
    caught("while an asynchronous copy fills it", [] { run_copy(waits_for_too_few); });
  }
  SECTION("each thread has waited for its own, but not for the others'") {
    caught_naming({"shared memory"}, [] { run_copy(no_barrier_after_wait); });
  }
  SECTION("a stage is refilled while others still read it") {
    caught_naming({"race in shared memory|while an asynchronous copy fills it"},
                  [] { run_copy(refilled_too_early); });
  }
  SECTION("nobody ever waits") {
    caught("are not waited for when the thread ends", [] { run_copy(never_waited, 1); });
  }
}

struct GlobalArgs {
  const float* x;
  float* y;
  int n, mistake;
};
enum GlobalMistake {
  global_right,
  read_past_end,
  write_past_end,
  write_before_begin,
  misaligned_pack,
  null_pointer,
  never_written,
  neighbours_element,
  other_blocks_row,
  read_of_other_block,
};
void global_kernel(GlobalArgs a) {
  const auto x = global(a.x);
  const auto y = global(a.y);
  const int t = int(threadIdx.x), i = int(blockIdx.x) * int(blockDim.x) + t;
  float v = 0;
  if (i < a.n) v = x[i];
  if (a.mistake == read_past_end && i == a.n - 1) PLANTED(v += x[i + 1]);
  if (a.mistake == write_past_end && i == a.n - 1) PLANTED(y[i + 1] = v);
  if (a.mistake == write_before_begin && i == 0) PLANTED(y[i - 1] = v);
  if (a.mistake == misaligned_pack && t == 0) PLANTED(v += load_pack<Pack16<float>>(x + 1).v[0]);
  if (a.mistake == null_pointer && t == 3) PLANTED(v += global(static_cast<const float*>(nullptr))[2]);
  if (a.mistake == never_written && t == 0) PLANTED(v += y[0]);
  if (i < a.n) PLANTED(y[i] = v + 1);
  if (a.mistake == neighbours_element && i % 32 == 7) PLANTED(y[i + 1] = 0.0f);
  if (a.mistake == other_blocks_row && t == 0 && i == 0) PLANTED(y[kThreads] = 0.0f);
  if (a.mistake == read_of_other_block && i == 0) PLANTED(v = y[kThreads]);
}
void run_global(int mistake) {
  constexpr int n = 3 * kThreads;
  DeviceArray<float> x(n, std::vector<float>(n, 2.0f)), y(n);
  run<NoShared, GlobalArgs>(global_kernel, 3, kThreads, {x.p, y.p, n, mistake});
  CHECK(y.read() == std::vector<float>(n, 3.0f));
}

TEST_CASE("global memory") {
  under_every_schedule([] { run_global(global_right); });
  SECTION("read past the end") {
    caught("a read of 4 bytes at byte 768 of a block of 768 bytes", [] { run_global(read_past_end); });
  }
  SECTION("written past the end") {
    caught("a write of 4 bytes at byte 768 of a block of 768 bytes", [] { run_global(write_past_end); });
  }
  SECTION("written before the beginning") {
    caught("a write of 4 bytes at byte -4 of a block", [] { run_global(write_before_begin); });
  }
  SECTION("a pack that is not aligned") {
    caught("a read of 16 bytes at byte 4 is not aligned to 16", [] { run_global(misaligned_pack); });
  }
  SECTION("null") {
    caught("a pointer that is null or not the device's", [] { run_global(null_pointer); });
  }
  SECTION("read before anybody wrote it") {
    caught("is read but nobody wrote it", [] { run_global(never_written); });
  }
  SECTION("two threads of a block write one element") {
    caught("race in global memory", [] { run_global(neighbours_element); });
  }
  SECTION("a block writes another block's row") {
    caught("nothing orders two blocks", [] { run_global(other_blocks_row); });
  }
  SECTION("a block reads what another one writes") {
    caught_naming({"global memory: byte 256"}, [] { run_global(read_of_other_block); });
  }
}

// Cross entropy in place: the label's logit is read before the row is overwritten, by another thread.
TEST_CASE("a value is read by one thread and overwritten by another with no barrier") {
  struct Args {
    float *row, *loss;
    bool barrier;
  };
  const auto kernel = [](Args a) {
    const auto row = global(a.row);
    const int t = int(threadIdx.x);
    if (t == 0) PLANTED(const float v = row[40]; global(a.loss)[0] = v);
    if (a.barrier) __syncthreads();
    PLANTED(row[t] = 0.0f);
  };
  const auto attempt = [&](bool barrier) {
    DeviceArray<float> row(kThreads, std::vector<float>(kThreads, 4.0f)), loss(1);
    run<NoShared, Args>(kernel, 1, kThreads, {row.p, loss.p, barrier});
    CHECK(loss.read()[0] == 4);
  };
  under_every_schedule([&] { attempt(true); });
  caught("race in global memory", [&] { attempt(false); });
}

}  // namespace
}  // namespace engine::cuda_host
