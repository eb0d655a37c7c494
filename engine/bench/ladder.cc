// Read first: ladder.h.
#include "engine/bench/ladder.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "engine/bench/gemm_bench.h"
#include "engine/base/clock.h"
#include "engine/core/tensor.h"
#include "engine/cpu/parallel.h"
#include "engine/kernel/gemm.h"

namespace engine {
namespace {

void engines_own(const LadderProduct& g) {
  cpu::gemm({.a = {g.a, g.k}, .b = {g.b, g.n}, .m = g.m, .n = g.n, .k = g.k, .c = g.c, .c_stride = g.n});
}

// On so many threads while it lives.
class Threads {
 public:
  explicit Threads(int count) { cpu::set_thread_count(count); }
  ~Threads() { cpu::set_thread_count(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_ = cpu::thread_count();
};

/// Numbers in [-0.5, 0.5) that depend on their place.
Tensor operand(const Shape& shape) {
  const Tensor t = Tensor::empty(shape, DType::f32, Device::cpu);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = float(i * 37 % 101) / 101 - 0.5f;
  return t;
}

}  // namespace

const std::vector<LadderRung>& ladder_rungs() {
  static const std::vector<LadderRung> rungs = {
      {"loops", "the three loops of the definition", [](const LadderProduct& g) { cpu::ladder_loops(g); }},
      {"rows", "loops in another order: whole rows", [](const LadderProduct& g) { cpu::ladder_rows(g); }},
      {"blocks", "blocks that stay in the second-level cache",
       [](const LadderProduct& g) { cpu::ladder_blocks(g); }},
      {"registers", "a tile of sums in registers", [](const LadderProduct& g) { cpu::ladder_registers(g); }},
      {"packed", "operands packed into panels", [](const LadderProduct& g) { cpu::ladder_packed(g); }},
      {"engine", "the engine's product: prefetches, blocks of all levels", engines_own},
  };
  return rungs;
}

std::vector<BenchResult> bench_ladder(const std::string& rung, const LadderOptions& options) {
  struct Entry {
    LadderRung rung;
    int threads;
    double best = 1e30;
  };
  std::vector<Entry> entries;
  std::vector<std::string> names;
  for (const LadderRung& r : ladder_rungs()) {
    names.push_back(r.name);
    if (rung.empty() || rung == r.name) entries.push_back({r, 1});
  }
  check(!entries.empty(), "bench: no rung '", rung, "'; the nearest is '", nearest_word(rung, names), "'");
  check(options.m % kLadderRows == 0 && options.n % kLadderCols == 0, "bench: rungs multiply [", options.m,
        ", k] x [k, ", options.n, "], but have no edges: rows in ", kLadderRows, "s, columns in ",
        kLadderCols, "s");
  const int all = cpu::thread_count();
  if (all > 1 && entries.back().rung.name == "engine") entries.push_back({ladder_rungs().back(), all});

  const Tensor a = operand({options.m, options.k}), b = operand({options.k, options.n}),
               c = Tensor::zeros({options.m, options.n}, DType::f32, Device::cpu);
  const LadderProduct g{a.data<float>(), b.data<float>(), c.data<float>(), options.m, options.n, options.k};
  double one_peak = 0, all_peak = 0;
  for (int round = 0; round < options.repeats; ++round)
    for (Entry& e : entries) {
      const Threads scope(e.threads);
      double& peak = e.threads == 1 ? one_peak : all_peak;
      peak = std::max(peak, multiply_add_peak());
      e.best = std::min(e.best, seconds_of([&] { e.rung.run(g); }));
    }
  std::vector<BenchResult> results;
  for (const Entry& e : entries) {
    const double value = 2.0 * double(g.m * g.n * g.k) / e.best * 1e-9;
    const double ceiling = e.threads == 1 ? one_peak : all_peak;
    results.push_back({join_text(e.rung.name, e.threads == 1 ? "" : join_text(", ", e.threads, " threads"),
                                 ": ", e.rung.about),
                       value, "GFLOP/s", ceiling, value / ceiling});
  }
  return results;
}

}  // namespace engine
