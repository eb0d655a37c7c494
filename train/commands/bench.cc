// normlab bench: how fast this machine runs the parts, each figure beside the ceiling measured in the same
// run. Read first: engine/bench/ops_bench.h, gemm_bench.h, ladder.h, step_bench.h.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/bench/gemm_bench.h"
#include "engine/bench/ladder.h"
#include "engine/bench/ops_bench.h"
#include "engine/bench/traffic_bench.h"
#include "engine/comm/world.h"
#include "engine/core/dtype.h"
#include "engine/cpu/parallel.h"
#include "train/bench/comm_bench.h"
#include "train/bench/step_bench.h"
#include "train/bench/step_traffic.h"
#include "train/bench/tokenizer_bench.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/commands/compute_flags.h"

namespace train {
namespace {

using engine::BenchResult;
using engine::Json;

const std::vector<Flag> common_flags = {
    {"repeats", "N", "samples of each row; the median counts", "9"},
    {"threads", "N", "threads (any number gives the same results, not the same time)", "all processors"},
    {"json", "", "one JSON object on stdout"},
    device_flag,
};

// What the stand-in takes is no time of a GPU.
void say_stand_in(engine::Device device) {
  if (device == engine::Device::cuda_host)
    engine::log_info("cuda-host runs CUDA kernels on the CPU: its times say nothing about a GPU");
}

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

Json machine() {
  return {{"processor", processor_name()},
          {"threads", engine::cpu::thread_count()},
          {"level", engine::cpu::name_of(engine::cpu::isa())},
          {"bf16_products", engine::cpu::name_of(engine::cpu::bf16_product())},
          {"bf16_reason", engine::cpu::bf16_product_reason()}};
}

void print(const std::vector<BenchResult>& results, bool json) {
  if (json) {
    Json list = Json::array();
    for (const BenchResult& r : results)
      list.push_back({{"name", r.name},
                      {"value", r.value},
                      {"unit", r.unit},
                      {"ceiling", r.ceiling},
                      {"fraction", r.fraction}});
    std::printf("%s\n", engine::json_text(Json({{"machine", machine()}, {"results", list}}), 1).c_str());
    return;
  }
  const Json m = machine();
  const auto text = [&](const char* key) { return m[key].get<std::string>(); };
  std::printf("%s, %d threads, kernels for %s, bf16 products: %s (%s)\n\n", text("processor").c_str(),
              m["threads"].get<int>(), text("level").c_str(), text("bf16_products").c_str(),
              text("bf16_reason").c_str());
  size_t width = 0;
  for (const BenchResult& r : results) width = std::max(width, r.name.size());
  std::printf("%-*s %10s %10s %10s\n", int(width), "", "measured", "ceiling", "fraction");
  for (const BenchResult& r : results)
    std::printf("%-*s %10.4g %10.4g %9.0f%% %s\n", int(width), r.name.c_str(), r.value, r.ceiling,
                100 * r.fraction, r.unit.c_str());
}

// ---- traffic, counted on the stand-in

const Flag traffic_flag = {"traffic", "",
                           "count what kernels ask of a GPU's memory (--device cuda-host), predict the time"};

Json traffic_json(const engine::TrafficCount& c) {
  return {{"name", c.name},
          {"launches", c.launches},
          {"dram_read", c.dram_read},
          {"dram_write", c.dram_write},
          {"least", c.least},
          {"asked", c.asked},
          {"sector_factor", c.sector_factor},
          {"conflict_factor", c.conflict_factor},
          {"matrix_flop", c.matrix_flop},
          {"other_flop", c.other_flop},
          {"predicted_seconds", c.seconds}};
}

void print_traffic(const std::vector<engine::TrafficCount>& counts) {
  size_t width = 4;
  for (const engine::TrafficCount& c : counts) width = std::max(width, c.name.size());
  std::printf("%-*s %9s %9s %9s %7s %9s %9s %10s\n", int(width), "", "launches", "read MB", "write MB",
              "/ least", "sectors", "conflicts", "predicted");
  for (const engine::TrafficCount& c : counts) {
    char least[16] = "-";
    if (c.least > 0) std::snprintf(least, sizeof least, "%.3f", (c.dram_read + c.dram_write) / c.least);
    std::printf("%-*s %9.0f %9.3f %9.3f %7s %9.2f %9.2f %7.1f us\n", int(width), c.name.c_str(), c.launches,
                c.dram_read * 1e-6, c.dram_write * 1e-6, least, c.sector_factor, c.conflict_factor,
                c.seconds * 1e6);
  }
}

// True when the counts were asked for; they exist on the stand-in alone.
bool wants_traffic(const Arguments& args) {
  if (!args.on("traffic")) return false;
  engine::check(args.text("device") == "cuda-host",
                "--traffic is counted on the stand-in: give --device cuda-host");
  return true;
}

constexpr const char* traffic_notes =
    "--traffic: bytes that cross to memory (every sector of 32 bytes once a launch), / least: over inputs "
    "and\n"
    "results once; sectors: over the fewest; conflicts: passes over the banks of shared memory, over the "
    "fewest.\n"
    "Predicted for an H100 with 3.0 TB/s to memory, 5.5 TB/s to L2 (a guess), 798 TFLOP/s of 16-bit "
    "products: the\n"
    "slowest of the three, nothing that was measured on a GPU.\n";

void apply_given_threads(const Arguments& args) {
  if (args.given("threads")) engine::cpu::set_thread_count(int(args.integer("threads", 1, 1024)));
}

int bench_ops(int argc, char** argv) {
  Usage usage = {
      "normlab bench ops",
      "ops that wait for memory: bytes that must move per second, beside a copy of as many",
      {{"OP", "only this op, such as gelu or softmax", Count::optional}},
      [] {
        std::vector<Flag> flags = common_flags;
        flags.push_back(traffic_flag);
        return flags;
      }(),
      std::string(
          "Ceiling: a copy of as many bytes (read + written) on all threads between arrays in use, with\n"
          "ordinary or streaming stores, whichever is faster; copies and samples alternate, medians count.\n"
          "A fraction above 100 % is an op that mostly reads, or an update in place.\n") +
          traffic_notes};
  const Arguments args(usage, argc, argv);
  apply_given_threads(args);
  if (wants_traffic(args)) {
    device_of(args);
    const auto counts = engine::count_ops(args.positional(0));
    if (!args.on("json")) {
      print_traffic(counts);
      return 0;
    }
    Json list = Json::array();
    for (const engine::TrafficCount& c : counts) list.push_back(traffic_json(c));
    std::printf("%s\n", engine::json_text(Json({{"traffic", list}}), 1).c_str());
    return 0;
  }
  const engine::Device device = device_of(args);
  const engine::BenchOptions options = {.repeats = int(args.integer("repeats", 1, 10000)),
                                        .scale = device == engine::Device::cuda ? 16.0 : 1.0,
                                        .device = device};
  say_stand_in(options.device);
  print(engine::bench_ops(args.positional(0), options), args.on("json"));
  return 0;
}

int bench_gemm(int argc, char** argv) {
  Usage usage = {
      "normlab bench gemm",
      "the 15 matrix products of a GPT-2 124M step at 1024 tokens, beside the multiply-add peak",
      {},
      {{"repeats", "N", "samples of each row, spread over the run; the best counts", "9"},
       common_flags[1],
       common_flags[2],
       device_flag},
      "FLOP: 2 m n k. Ceiling: multiply-adds in registers on all threads, the best sample too. On a GPU\n"
      "16384 tokens, and the ceiling is the best product.\n"};
  const Arguments args(usage, argc, argv);
  apply_given_threads(args);
  const engine::Device device = device_of(args);
  say_stand_in(device);
  print(engine::bench_gemm(int(args.integer("repeats", 1, 10000)), device), args.on("json"));
  return 0;
}

int bench_ladder(int argc, char** argv) {
  std::string names;
  for (const engine::LadderRung& rung : engine::ladder_rungs())
    names += (names.empty() ? "" : "|") + rung.name;
  Usage usage = {
      "normlab bench ladder",
      "one product, [1008, 3072] x [3072, 768] in f32, from three loops to the engine's own",
      {{"RUNG", "only this one: " + names, Count::optional}},
      {{"repeats", "N", "samples of each rung, in turn; the best counts", "3"},
       {"threads", "N", "threads of the last row; all others have one", "all processors"},
       common_flags[2]},
      "docs/07-kernels-cpu.md climbs it. Ceiling: multiply-adds in registers on as many threads.\n"};
  const Arguments args(usage, argc, argv);
  apply_given_threads(args);
  print(engine::bench_ladder(args.positional(0), {.repeats = int(args.integer("repeats", 1, 10000))}),
        args.on("json"));
  return 0;
}

int bench_training_step(int argc, char** argv) {
  std::string names, notes;
  for (const StepWork& work : step_works()) {
    names += (names.empty() ? "" : "|") + work.name;
    notes += "  " + work.name + std::string(10 - work.name.size(), ' ') + work.about + "\n";
  }
  const Usage usage = {
      "normlab bench step",
      "whole training steps of a model with random tokens and weights",
      {{"WORK", names, Count::one}},
      {{"norms", "PRESET", "placement of the norms: a preset or a NormSpec", "pre_ln"},
       {"zero", "0|1", "under a launcher: as parallel.zero", "0"},
       {"against", "PRESET", "time this placement in turn: the ratio of neighbouring steps", ""},
       {"precision", "f32|bf16|f16", "what products compute in", "f32"},
       {"batch", "N", "rows of a batch instead of the work's", "0"},
       {"length", "N", "tokens of a row instead of the work's", "0"},
       {"layers", "N", "layers instead of the work's", "0"},
       {"width", "N", "width instead of the work's, in heads of 64", "0"},
       {"vocab-size", "N", "tokens of the vocabulary instead of the work's", "0"},
       {"steps", "N", "timed steps, after the first; the median counts", "5"},
       common_flags[1],
       common_flags[2],
       device_flag,
       traffic_flag},
      "Works:\n" + notes +
          "Ceiling of tokens/s: multiply-adds in registers on all threads over FLOPs a token (6 x parameters "
          "of\n"
          "the matrices with the head + 12 x layers x heads x head size x T); its fraction is the MFU. A "
          "masked LM\n"
          "computes its head at masked positions only, so its fraction is too high by what it saves. Ceiling "
          "of the\n"
          "parts: the step. Of memory: what a run's memory plan foresees.\n" +
          traffic_notes + "Floor: the products of that formula alone, at the rate of the fastest.\n"};
  const Arguments args(usage, argc, argv);
  apply_given_threads(args);
  StepWork work = find_step_work(args.positional(0));
  const auto take = [&](const char* flag, int64_t& size, int64_t most) {
    if (const int64_t given = args.integer(flag, 0, most)) size = given;
  };
  take("batch", work.rows, 4096), take("length", work.length, 1 << 20), take("layers", work.layers, 1024);
  take("width", work.width, 1 << 16), take("vocab-size", work.vocabulary, 1 << 24);
  if (args.given("width")) {
    engine::check(work.width % 64 == 0, "--width ", work.width,
                  ": expected a multiple of 64, the size of a head");
    work.heads = work.width / 64;
  }
  const engine::Device device = device_of(args);
  if (wants_traffic(args)) {
    const StepOptions options = {.norms = args.text("norms"),
                                 .precision = engine::parse_dtype(args.text("precision"))};
    const bool small = work.rows * work.length <= 512 && work.layers <= 2 && work.width <= 128;
    const StepTraffic counted = small ? count_step(work, options) : predict_step(work, options);
    if (args.on("json")) {
      Json list = Json::array();
      for (const engine::TrafficCount& c : counted.launches) list.push_back(traffic_json(c));
      const Json out = {{"step", traffic_json(counted.step)},
                        {"floor_seconds", counted.floor},
                        {"counted", counted.counted},
                        {"traffic", list}};
      std::printf("%s\n", engine::json_text(out, 1).c_str());
      return 0;
    }
    std::vector<engine::TrafficCount> all = counted.launches;
    all.push_back(counted.step);
    print_traffic(all);
    std::printf("\n%s: %.2f ms a step on an H100 is a prediction (floor %.2f ms): %s\n", work.name.c_str(),
                counted.step.seconds * 1e3, counted.floor * 1e3, counted.counted.c_str());
    return 0;
  }
  const StepOptions options = {.norms = args.text("norms"),
                               .precision = engine::parse_dtype(args.text("precision")),
                               .steps = args.integer("steps", 1, 100000),
                               .device = device,
                               .against = args.text("against")};
  engine::Communicator& ranks = engine::world();
  if (ranks.size() == 1) {
    say_stand_in(device);
    print(bench_step(work, options), args.on("json"));
    return 0;
  }
  const auto results = bench_step_on_ranks(work, options, ranks, int(args.integer("zero", 0, 1)));
  if (ranks.rank() == 0) print(results, args.on("json"));
  return 0;
}

int bench_collectives(int argc, char** argv) {
  const Usage usage = {"normlab bench comm",
                       "under mpirun or srun: sums and gatherings of gradients, in GB/s",
                       {},
                       {{"bucket-mib", "MIB", "MiB exchanged at once; without it 1, 4, 16 and 32", ""},
                        {"repeats", "N", "samples of each row; the median counts", "9"},
                        common_flags[2]},
                       "Ceiling: a copy of the same bytes by every rank at once.\n"};
  const Arguments args(usage, argc, argv);
  engine::Communicator& ranks = engine::world();
  engine::check(ranks.size() > 1,
                "bench comm measures what ranks exchange: start it with mpirun -np 2 or more");
  std::vector<double> sizes = {1, 4, 16, 32};
  if (args.given("bucket-mib")) sizes = {args.number("bucket-mib", 0.001, 1024)};
  const auto results = bench_comm(ranks, sizes, int(args.integer("repeats", 1, 10000)));
  if (ranks.rank() == 0) print(results, args.on("json"));
  return 0;
}

int bench_text(int argc, char** argv) {
  const Usage usage = {
      "normlab bench tokenizer",
      "learning, encoding and decoding of one text, in million bytes a second",
      {{"TEXT", "a file, read as it is", Count::one}},
      {{"tokenizer", "DIR", "encode and decode with this one", ""},
       {"vocab-size", "N", "learn so many tokens; 0: learn none", "0"},
       {"repeats", "N", "the median counts", "5"},
       {"threads", "N", "threads", "1"},
       common_flags[2]},
      "Ceiling of learning and encoding: cutting the text into pieces alone; of decoding: a copy.\n"};
  const Arguments args(usage, argc, argv);
  print(bench_tokenizer(engine::read_file(args.positional(0), size_t(4) << 30),
                        {.tokenizer = args.text("tokenizer"),
                         .vocab_size = size_t(args.integer("vocab-size", 0, 1 << 24)),
                         .threads = int(args.integer("threads", 1, 1024)),
                         .repeats = int(args.integer("repeats", 1, 10000))}),
        args.on("json"));
  return 0;
}

}  // namespace

int cmd_bench(int argc, char** argv) {
  if (engine::launched_ranks() > 1 && !asks_for_help(argc, argv)) {
    engine::Communicator& ranks = engine::world();
    const std::string word = argc > 1 ? argv[1] : "";
    ranks.agree([&] {
      engine::check(word == "comm" || word == "step", "bench ", word,
                    " runs on one process; a launcher started ", ranks.size());
    });
  }
  return run_commands({"normlab bench",
                       "how fast this machine runs the parts",
                       {{"comm", "what ranks exchange, in GB/s (under mpirun)", bench_collectives},
                        {"gemm", "matrix products, in GFLOP/s", bench_gemm},
                        {"ladder", "one product from three loops to the peak", bench_ladder},
                        {"ops", "ops that wait for memory, in GB/s", bench_ops},
                        {"step", "whole training steps, in tokens/s", bench_training_step},
                        {"tokenizer", "learning and using a tokenizer, in MB/s", bench_text}},
                       ""},
                      argc, argv);
}

}  // namespace train
