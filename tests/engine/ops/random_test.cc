// Random tensors: moments and bounds of each law, and that draws depend on nothing but seed, offset and
// index.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/cpu/parallel.h"
#include "engine/ops/random.h"
#include "largest_gap.h"

using namespace engine;
using Catch::Matchers::Contains;

namespace {

std::vector<double> drawn(Law law, int64_t n, double scale = 1, DType dtype = DType::f32, Rng rng = {7}) {
  const Tensor values = Tensor::empty({n}, dtype);
  fill_random(values, law, scale, rng);
  return values.to_vector();
}

struct Moments {
  double mean = 0, deviation = 0, fourth = 0, most = 0;
};
Moments moments(const std::vector<double>& values) {
  Moments m;
  for (double x : values) {
    m.mean += x, m.deviation += x * x, m.fourth += x * x * x * x, m.most = larger(m.most, x);
  }
  const double n = double(values.size());
  m.mean /= n, m.deviation = std::sqrt(m.deviation / n), m.fourth /= n;
  return m;
}

}  // namespace

TEST_CASE("random fill: moments of each law") {
  const int64_t n = 400003;
  const Moments normal = moments(drawn(Law::normal, n));
  CHECK(std::fabs(normal.mean) < 0.01);
  CHECK(normal.deviation == Approx(1).epsilon(0.01));
  CHECK(normal.fourth == Approx(3).epsilon(0.05));
  CHECK(normal.most > 4);
  CHECK(normal.most < 7);
  const Moments truncated = moments(drawn(Law::truncated, n));
  CHECK(truncated.most <= 3);
  CHECK(truncated.most > 2.99);
  CHECK(truncated.deviation == Approx(0.98658).epsilon(0.01));  // of a normal cut at three
  const Moments uniform = moments(drawn(Law::uniform, n, 0.5));
  CHECK(uniform.most <= 0.5);
  CHECK(uniform.deviation == Approx(0.5 / std::sqrt(3.0)).epsilon(0.01));
}

TEST_CASE("random fill: neighbouring elements are not correlated") {
  const auto x = drawn(Law::normal, 400000);
  for (size_t distance : {1, 2, 3, 4, 512}) {
    double sum = 0;
    for (size_t i = 0; i + distance < x.size(); ++i) sum += x[i] * x[i + distance];
    CHECK(std::fabs(sum / double(x.size())) < 0.01);
  }
}

TEST_CASE("random fill: a function of seed, offset and index") {
  const int64_t n = 100001;
  for (Law law : {Law::normal, Law::truncated, Law::uniform}) {
    const auto x = drawn(law, n);
    CHECK(drawn(law, n) == x);
    CHECK(drawn(law, n, 1, DType::f64) == x);
    CHECK(drawn(law, n, 1, DType::f32, {8}) != x);
    const int threads = cpu::thread_count();
    for (int t : {1, 3}) {
      cpu::set_thread_count(t);
      CHECK(drawn(law, n) == x);
    }
    cpu::set_thread_count(threads);
    const auto later = drawn(law, n - 400, 1, DType::f32, {7, 100});  // a hundred blocks further on
    CHECK(std::equal(later.begin(), later.end(), x.begin() + 400));
  }
  Rng rng{1, 5};
  fill_random(Tensor::empty({2, 5}, DType::f32), Law::normal, 1, rng);
  CHECK(rng.offset == 8);
  CHECK(drawn(Law::normal, 0).empty());
}

TEST_CASE("random fill: wrong arguments") {
  Rng rng;
  CHECK_THROWS_WITH(fill_random(Tensor::empty({2}, DType::bf16), Law::normal, 1, rng),
                    Contains("fill_random: draws f32 or f64, not bf16"));
  CHECK_THROWS_WITH(fill_random(Tensor::empty({4, 4}, DType::f32).transpose(0, 1), Law::normal, 1, rng),
                    Contains("must be contiguous"));
  CHECK_THROWS_WITH(fill_random(Tensor::empty({2}, DType::f32), Law::normal, NAN, rng),
                    Contains("not finite"));
}
