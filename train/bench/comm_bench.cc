// Read first: comm_bench.h.
#include "train/bench/comm_bench.h"

#include <algorithm>
#include <chrono>

#include "engine/base/text.h"

namespace train {

using engine::BenchResult;
using engine::Tensor;

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The median time of work() on rank 0, all ranks beginning together; once untimed before.
template <class Work>
double seconds(engine::Communicator& c, int repeats, const Work& work) {
  std::vector<double> times;
  for (int i = 0; i <= repeats; ++i) {
    c.barrier();
    const double start = now();
    work();
    if (i > 0) times.push_back(now() - start);
  }
  std::nth_element(times.begin(), times.begin() + repeats / 2, times.end());
  return c.from_root(times[size_t(repeats) / 2]);
}

}  // namespace

std::vector<BenchResult> bench_comm(engine::Communicator& c, const std::vector<double>& bucket_mib, int repeats) {
  std::vector<BenchResult> out;
  for (const double mib : bucket_mib) {
    const int64_t n = std::max<int64_t>(1, int64_t(mib * (1 << 18)));
    const Tensor values = Tensor::full({n}, 1, engine::DType::f32), copy = Tensor::zeros({n}, engine::DType::f32);
    const std::vector<int64_t> parts = engine::even_parts(n, c.size());
    const double bytes = double(values.bytes());
    const double ceiling = bytes / 1e9 / seconds(c, repeats, [&] { copy.copy_from(values); });
    const auto add = [&](const char* what, double time) {
      out.push_back({engine::join_text(what, " of ", mib, " MiB on ", c.size(), " ranks"), bytes / 1e9 / time, "GB/s",
                     ceiling, bytes / 1e9 / time / ceiling});
    };
    add("sum of own parts", seconds(c, repeats, [&] {
          c.wait(c.start_sum(values, copy, parts, engine::Gathered::own_part, "bench"));
        }));
    add("gathering of parts", seconds(c, repeats, [&] { c.all_gather(copy, parts); }));
    add("sum of everything", seconds(c, repeats, [&] {
          c.wait(c.start_sum(values, copy, parts, engine::Gathered::all, "bench"));
        }));
  }
  return out;
}

double seconds_of_exchange(engine::Communicator& c, int64_t elements, double bucket_mib, int repeats) {
  const int64_t bucket = std::max<int64_t>(1, int64_t(bucket_mib * (1 << 18)));
  const Tensor values = Tensor::full({elements}, 1, engine::DType::f32);
  return seconds(c, repeats, [&] {
    std::vector<int64_t> jobs;
    for (int64_t at = 0; at < elements; at += bucket) {
      const Tensor part = values.slice(0, at, std::min(elements, at + bucket));
      jobs.push_back(c.start_sum(part, part, engine::even_parts(part.numel(), c.size()), engine::Gathered::all,
                                 "bench"));
    }
    for (int64_t job : jobs) c.wait(job);
  });
}

}  // namespace train
