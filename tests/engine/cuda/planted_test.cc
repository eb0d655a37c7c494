// Mistakes that kernels are known for, planted one by one: each is caught, with the line where it shows.
//
// A kernel takes the number of its mistake, 0 for none; the right kernel passes under every schedule, the
// wrong one fails under every schedule. PLANTED notes the line that the message has to name.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "cuda_test.h"

namespace engine::cuda_host {
namespace {

int planted_line = 0;  // of the last PLANTED() that was passed
#define PLANTED(statement)   \
  do {                       \
    planted_line = __LINE__; \
    statement;               \
  } while (0)

// Whether the message has one of the texts, which stand apart by '|'.
bool has(const std::string& message, const std::string& texts) {
  for (size_t begin = 0, end; begin <= texts.size(); begin = end + 1) {
    end = std::min(texts.find('|', begin), texts.size());
    if (message.find(texts.substr(begin, end - begin)) != std::string::npos) return true;
  }
  return false;
}

// Runs `launch_it`, which has to fail with a message that begins with the planted line of this file and has
// `text`. (Who of two comes second depends on the schedule: then the text is one of several.)
template <class F>
void caught(const std::string& text, F&& launch_it) {
  under_every_schedule([&] {
    planted_line = 0;
    std::string message;
    try {
      launch_it();
    } catch (const standin::KernelError& e) {
      message = e.what();
    }
    INFO("message: " << message << "\nexpected at line " << planted_line << ": " << text);
    CHECK(has(message, text));
    CHECK(message.find(std::string(__FILE__) + ":" + std::to_string(planted_line) + ": ") == 0);
    CHECK(planted_line > 0);
  });
}

constexpr int kThreads = 64;

// ---- shared memory ----------------------------------------------------------------------------------------
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

// ---- barriers and collectives -----------------------------------------------------------------------------
struct MeetArgs {
  float* out;
  int mistake;
};
enum MeetMistake {
  meets = 0,
  lane_leaves_out_shuffle,
  wrong_lane,
  lane_returns,
  other_barrier,
  warp_leaves_out_barrier,
  not_in_mask,
  other_mask,
  barrier_for_half_a_warp,
};
void meet_kernel(MeetArgs a) {
  const int t = int(threadIdx.x), lane = t % 32;
  float v = float(lane);
  if (a.mistake == lane_leaves_out_shuffle && lane == 5) {
    // Lane 5 is already at the vote below when the others are at the shuffle.
  } else if (a.mistake == wrong_lane) {
    if (lane < 16) PLANTED(v += __shfl_sync(0xffffu, v, lane + 1));
  } else if (a.mistake == not_in_mask) {
    PLANTED(__syncwarp(0xffffu));
  } else if (a.mistake == other_mask) {
    PLANTED(v += __shfl_xor_sync(lane < 8 ? 0xffffu : kFull, v, 1));
  } else {
    if (a.mistake == lane_returns && lane > 20) return;
    PLANTED(v += __shfl_xor_sync(kFull, v, 1));
  }
  if (a.mistake == lane_leaves_out_shuffle) PLANTED(__ballot_sync(kFull, 1));
  if (a.mistake == other_barrier && t >= 32) PLANTED(__syncthreads());
  if (a.mistake == warp_leaves_out_barrier && t < 32) PLANTED(__syncthreads());
  if (a.mistake == barrier_for_half_a_warp && lane < 16) PLANTED(__syncthreads());
  if (a.mistake != wrong_lane) v += warp_sum(v);
  __syncthreads();
  global(a.out)[t] = v;
}
void run_meet(int mistake) {
  DeviceArray<float> out(kThreads);
  run<NoShared, MeetArgs>(meet_kernel, 1, kThreads, {out.p, mistake});
  CHECK(out.read()[0] == 1 + 992);
}
// The message of a mistake in which two places wait for each other names both, whichever comes first.
template <class F>
void caught_naming(const std::vector<std::string>& texts, F&& launch_it) {
  under_every_schedule([&] {
    std::string message;
    try {
      launch_it();
    } catch (const standin::KernelError& e) {
      message = e.what();
    }
    for (const std::string& text : texts) {
      INFO("message: " << message << "\nexpected: " << text);
      CHECK(has(message, text));
    }
    CHECK(message.find(std::string(__FILE__) + ":") == 0);
  });
}

TEST_CASE("barriers and collectives") {
  under_every_schedule([] { run_meet(meets); });
  SECTION("one lane leaves out a shuffle") {
    caught_naming({"divergent warp", "a shuffle", "a vote", "lane"},
                  [] { run_meet(lane_leaves_out_shuffle); });
  }
  SECTION("a shuffle reads a lane outside its mask") {
    caught("a shuffle reads lane 16, which is not in its mask 0xffff", [] { run_meet(wrong_lane); });
  }
  SECTION("the caller is not in its mask") {
    caught("the caller is not in it", [] { run_meet(not_in_mask); });
  }
  SECTION("lanes give different masks") {
    caught("divergent warp", [] { run_meet(other_mask); });
  }
  SECTION("lanes return before a collective of all") {
    caught_naming({"hangs", "waits at a shuffle", "threads have returned"}, [] { run_meet(lane_returns); });
  }
  SECTION("one warp is at another __syncthreads") {
    caught_naming({"__syncthreads meets that of thread"}, [] { run_meet(other_barrier); });
  }
  SECTION("one warp waits at a barrier that the others leave out") {
    caught_naming({"__syncthreads"}, [] { run_meet(warp_leaves_out_barrier); });
  }
  SECTION("half a warp at a barrier, the other half at a shuffle") {
    caught_naming({"hangs", "__syncthreads", "a shuffle"}, [] { run_meet(barrier_for_half_a_warp); });
  }
}

// ---- asynchronous copies ----------------------------------------------------------------------------------
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

// ---- global memory ----------------------------------------------------------------------------------------
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

// ---- launches, streams, graphs, pointers ------------------------------------------------------------------
struct AxpyArgs {
  const float *x, *by;  // by null: `value`
  float* y;
  float value;
};
void axpy_kernel(AxpyArgs a) {
  const float x = global(a.x)[threadIdx.x], by = a.by ? float(global(a.by)[0]) : a.value;
  const float y = global(a.y)[threadIdx.x];
  global(a.y)[threadIdx.x] = y + by * x;
}

TEST_CASE("launches that CUDA refuses") {
  struct Args {
    int unused;
  };
  const auto kernel = [](Args) {};
  struct Much {
    SharedArray<float, 25 * 1024> x;
  };
  caught("whole warps, got 48", [&] { PLANTED((run<NoShared, Args>(kernel, 1, 48, {0}))); });
  caught("whole warps, got 2048", [&] { PLANTED((run<NoShared, Args>(kernel, 1, 2048, {0}))); });
  caught("the grid is empty: 0 x 1 x 1", [&] { PLANTED((run<NoShared, Args>(kernel, 0, 32, {0}))); });
  caught("the grid is too large: 1 x 65536 x 1",
         [&] { PLANTED((run<NoShared, Args>(kernel, dim3(1, 65536), 32, {0}))); });
  caught("102400 bytes of shared memory, of at most 101376",
         [&] { PLANTED((run<Much, Args>(kernel, 1, 32, {0}))); });
}

TEST_CASE("host memory given to a kernel") {
  std::vector<float> host(32, 1.0f);
  DeviceArray<float> y(32, host);
  struct Args {
    const float* x;
    float* y;
  };
  caught("a pointer that is null or not the device's", [&] {
    run<NoShared, Args>([](Args a) { PLANTED(global(a.y)[threadIdx.x] = float(global(a.x)[threadIdx.x])); },
                        1, 32, {host.data(), y.p});
  });
}

TEST_CASE("memory is used after it was released") {
  struct Args {
    float* y;
  };
  caught("not the device's", [] {
    float* gone;
    {
      const DeviceArray<float> y(32);
      gone = y.p;
    }
    run<NoShared, Args>([](Args a) { PLANTED(global(a.y)[threadIdx.x] = 1.0f); }, 1, 32, {gone});
  });
}

TEST_CASE("a stream reads what another one has not written yet") {
  const auto attempt = [](bool wait) {
    DeviceArray<float> x(32, std::vector<float>(32, 0.0f)), y(32, std::vector<float>(32, 1.0f));
    const std::vector<float> values(32, 3.0f);
    standin::Stream copies;
    copies.copy(x.p, values.data(), 32 * sizeof(float));
    const standin::Event filled = copies.record();
    if (wait) current_stream().wait(filled);
    launch<NoShared>(axpy_kernel, 1, 32, current_stream(), AxpyArgs{x.p, nullptr, y.p, 2.0f});
    current_stream().synchronize();
    copies.synchronize();
    CHECK(y.read()[31] == 7);
  };
  under_every_schedule([&] { attempt(true); });
  // Which of the two comes to the place second is where it shows: here the copy, in the line that asked for
  // it.
  caught_naming({"race in global memory", "by a copy", "no stream, event or wait orders the two"}, [&] {
    DeviceArray<float> x(32, std::vector<float>(32, 0.0f)), y(32, std::vector<float>(32, 1.0f));
    const std::vector<float> values(32, 3.0f);
    standin::Stream copies;
    copies.copy(x.p, values.data(), 32 * sizeof(float));
    launch<NoShared>(axpy_kernel, 1, 32, current_stream(), AxpyArgs{x.p, nullptr, y.p, 2.0f});
    current_stream().synchronize();
    copies.synchronize();
  });
  // And the other way round, where the value happens to be right.
  caught_naming({"race in global memory", "no stream, event or wait orders the two"}, [&] {
    DeviceArray<float> x(32, std::vector<float>(32, 0.0f)), y(32, std::vector<float>(32, 1.0f));
    standin::Stream other;
    launch<NoShared>(axpy_kernel, 1, 32, other, AxpyArgs{y.p, nullptr, x.p, 2.0f});
    launch<NoShared>(axpy_kernel, 1, 32, current_stream(), AxpyArgs{x.p, nullptr, y.p, 2.0f});
    const standin::Event unrelated = other.record();
    (void)unrelated;
    current_stream().synchronize();
    other.synchronize();
  });
}

TEST_CASE("a graph keeps an argument that changes") {
  DeviceArray<float> x(32, std::vector<float>(32, 1.0f)), y(32, std::vector<float>(32, 0.0f)),
      rate(1, {0.5f});
  float by_value = 0.5f;
  const auto step = [&](bool from_memory) {
    launch<NoShared>(axpy_kernel, 1, 32, current_stream(),
                     AxpyArgs{x.p, from_memory ? rate.p : nullptr, y.p, from_memory ? 0.0f : by_value});
  };
  const auto capture = [&](bool from_memory) {
    current_stream().begin_capture();
    step(from_memory);
    return current_stream().end_capture();
  };
  for (const bool from_memory : {true, false}) {
    y.write(std::vector<float>(32, 0.0f));
    rate.write({0.5f}), by_value = 0.5f;
    const standin::Graph graph = capture(from_memory);
    current_stream().replay(graph);
    rate.write({0.25f}), by_value = 0.25f;
    const std::string stale = difference(graph, capture(from_memory));
    current_stream().replay(graph);
    CHECK(y.read()[0] == (from_memory ? 0.75f : 1.0f));
    INFO(stale);
    CHECK((stale == "") == from_memory);
    if (!from_memory) {
      CHECK(stale.find(__FILE__) == 0);
      CHECK(stale.find("launch 0 of the graph: byte 24 of its argument is not what was captured") !=
            std::string::npos);
    }
  }
}

TEST_CASE("a graph that launches something else than the step") {
  DeviceArray<float> x(64, std::vector<float>(64, 1.0f)), y(64, std::vector<float>(64, 0.0f));
  const auto capture = [&](int launches, int threads) {
    current_stream().begin_capture();
    for (int i = 0; i < launches; ++i)
      launch<NoShared>(axpy_kernel, 1, threads, current_stream(), AxpyArgs{x.p, nullptr, y.p, 1.0f});
    return current_stream().end_capture();
  };
  CHECK(difference(capture(2, 32), capture(2, 32)) == "");
  CHECK(difference(capture(1, 32), capture(2, 32)).find("the graph has 1 launches, the step 2") !=
        std::string::npos);
  CHECK(difference(capture(1, 32), capture(1, 64)).find("its grid was captured as another one") !=
        std::string::npos);
}

// What a child process that calls f says on stderr before it dies.
template <class F>
std::string last_words(F&& f) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 2);
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, 1);
    f();
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, size_t(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(status != 0);
  return text;
}

TEST_CASE("the host follows a device pointer") {
  DeviceArray<float> x(8, std::vector<float>(8, 1.0f));
  volatile const float* pointer = x.p;
  const int line = __LINE__ + 1;
  const std::string text = last_words([&] { _exit(pointer[3] == 1.0f); });
  INFO(text);
  CHECK(text.find("cuda-host: a device pointer was followed without global()") != std::string::npos);
  CHECK(text.find("byte 12 of a block of 32") != std::string::npos);
  const std::string key = "the line: ";  // the command that names it
  const size_t begin = text.find(key);
  REQUIRE(begin != std::string::npos);
  const std::string command = text.substr(begin + key.size(), text.find('\n', begin) - begin - key.size());
  FILE* program = popen(command.c_str(), "r");
  REQUIRE(program != nullptr);
  std::string named;
  for (int c; (c = fgetc(program)) != EOF;) named += char(c);
  pclose(program);
  INFO(command << "\n" << named);
  CHECK(named.find("planted_test.cc:" + std::to_string(line)) != std::string::npos);
}

}  // namespace
}  // namespace engine::cuda_host
