// Planted mistakes with barriers and collectives, launches, streams, graphs and pointers. Read first:
// planted.h.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "planted.h"

namespace engine::cuda_host {
namespace {

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
  CHECK(named.find("planted_order_test.cc:" + std::to_string(line)) != std::string::npos);
}

}  // namespace
}  // namespace engine::cuda_host
