// Tensors, shapes, 16-bit conversions and the allocator.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/core/allocator.h"
#include "engine/core/tensor.h"
#include "engine/cpu/parallel.h"
#include "engine/kernel/isa.h"

using namespace engine;
using Catch::Matchers::Contains;

TEST_CASE("shapes check their sizes") {
  CHECK(Shape{2, 3}.numel() == 6);
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{1000000, 0, 1000000000000, 1000000000000}.numel() == 0);
  CHECK_THROWS_WITH((Shape{int64_t(1) << 40, int64_t(1) << 40}.numel()), Contains("too many elements"));
  CHECK_THROWS_WITH(Shape({1, -1}).numel(), Contains("negative"));
  CHECK_THROWS_WITH((Shape{1, 1, 1, 1, 1, 1, 1}), Contains("axes"));
}

TEST_CASE("bf16 and f16 round to nearest even for every half and its neighbours") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const f16 h{uint16_t(bits)};
    const float x = widen(h);
    if (std::isnan(x)) {
      CHECK(std::isnan(widen(narrow<f16>(x))));
      continue;
    }
    if (narrow<f16>(x).bits != h.bits) FAIL("f16 " << bits << " does not survive a round trip");
    if (std::isinf(x) || (bits & 0x7fff) >= 0x7bff) continue;
    const float next = widen(f16{uint16_t(bits + 1)}), middle = 0.5f * (x + next);
    const uint16_t even = (bits & 1) ? uint16_t(bits + 1) : uint16_t(bits);
    if (narrow<f16>(middle).bits != even) FAIL("f16 tie at " << bits);
    if (narrow<f16>(std::nextafter(middle, x)).bits != bits) FAIL("f16 below the tie at " << bits);
    if (narrow<f16>(std::nextafter(middle, next)).bits != bits + 1) FAIL("f16 above the tie at " << bits);
  }
  CHECK(narrow<f16>(65519.0f).bits == 0x7bff);
  CHECK(std::isinf(widen(narrow<f16>(65520.0f))));
  CHECK(narrow<bf16>(1.00390625f).bits == 0x3f80);  // half way between 1 and its successor: ties to even
  CHECK(narrow<bf16>(1.01171875f).bits == 0x3f82);
  CHECK(std::isnan(widen(narrow<bf16>(NAN))));
  CHECK(std::isinf(widen(narrow<bf16>(3.4e38f))));
}

TEST_CASE("views share storage and know their strides") {
  const Tensor t = Tensor::from({0, 1, 2, 3, 4, 5}, {2, 3});
  CHECK(t.transpose(0, 1).to_vector() == std::vector<double>{0, 3, 1, 4, 2, 5});
  CHECK(t.slice(1, 1, 3).to_vector() == std::vector<double>{1, 2, 4, 5});
  CHECK(t.slice(1, 1, 3).has_uniform_rows());
  CHECK(t.slice(1, 1, 3).row_stride() == 3);
  CHECK_FALSE(t.transpose(0, 1).has_uniform_rows());
  CHECK_THROWS_WITH(t.transpose(0, 1).reshape({6}), Contains("contiguous"));
  CHECK_THROWS_WITH(t.reshape({4}), Contains("elements"));
  CHECK_THROWS_WITH(t.slice(1, 2, 4), Contains("slice"));
  CHECK_THROWS_WITH(t.item(), Contains("one element"));
  CHECK_THROWS_WITH(Tensor::from({1}, {2}), Contains("needs 2 values"));
  CHECK_THROWS_WITH(parse_device("gpu"), "device gpu: expected cpu, cuda or cuda-host");
  CHECK_THROWS_WITH(parse_dtype("fp32"), Contains("bf16"));
  CHECK_THROWS_WITH(Tensor::from_ids({1}, {2}), "tensor [2] needs 2 ids, got 1");
  CHECK_THROWS_WITH(t.slice(2, 0, 1), "slice: axis 2 of [2, 3]");
  CHECK_THROWS_WITH(t.transpose(0, -3), "transpose: axes 0 and -3 of [2, 3]");
  CHECK_THROWS_WITH(t.transpose(0, 1).fill(1), Contains("fill: needs a contiguous tensor, got [3, 2]"));
  CHECK_THROWS_WITH(t.copy_from(Tensor::zeros({3, 2}, DType::f64)), "copy: [3, 2] into [2, 3]");
}

TEST_CASE("sizes that overflow are refused, and those of empty tensors do not matter") {
  CHECK_THROWS_WITH(Tensor::empty({int64_t(1) << 60}, DType::u8), Contains("is too large"));
  CHECK_THROWS_WITH(allocate(Device::cpu, size_t(1) << 62), Contains("more than any machine has"));
  const Tensor t = Tensor::empty({0, int64_t(1) << 40, int64_t(1) << 40}, DType::f32);
  CHECK(t.numel() == 0);
  CHECK(t.slice(1, 0, 2).numel() == 0);
}

TEST_CASE("released blocks are used again") {
  [[maybe_unused]] void* first = Tensor::empty({1000}, DType::f32).raw();
  const int64_t in_use = memory_statistics(Device::cpu).in_use;
  const Tensor again = Tensor::empty({1000}, DType::f32);
#if !defined(__SANITIZE_ADDRESS__)  // there nothing is used again, so that every use after release is seen
  CHECK(again.raw() == first);
#endif
  CHECK(memory_statistics(Device::cpu).in_use > in_use);
  CHECK_THROWS_WITH(Tensor::empty({int64_t(1) << 50}, DType::f64), Contains("out of memory"));
}

TEST_CASE("blocks of many sizes, each asked for once, do not pile up") {
  const auto take = [](int64_t mib) { return Tensor::empty({mib << 20}, DType::u8).raw(); };
  for (const bool ascending : {false, true}) {
    trim_memory(Device::cpu);
    reset_peak_memory(Device::cpu);
    for (int64_t mib = 2; mib <= 96; ++mib) take(ascending ? mib : 98 - mib);
    const MemoryStatistics s = memory_statistics(Device::cpu);
    INFO((ascending ? "ascending" : "descending"));
    CHECK(s.in_use + s.cached <= 2 * s.peak);
  }
#if !defined(__SANITIZE_ADDRESS__)
  trim_memory(Device::cpu);
  const void* whole = take(8);
  CHECK(take(5) == whole);  // and goes back whole
  CHECK(take(8) == whole);
  CHECK(take(3) != whole);
#endif
}

TEST_CASE("isa: the level in use has a name, and NORMLAB_ISA chose it where it is set") {
  const std::string name = cpu::name_of(cpu::isa());
  const char* forced = std::getenv("NORMLAB_ISA");
  CHECK((forced ? name == forced : name == "base" || name == "avx2" || name == "avx512"));
}

TEST_CASE("parallel_for runs every task once, also when nested") {
  for (int threads : {1, 2, 3, 8}) {
    cpu::set_thread_count(threads);
    std::vector<int> hits(1000);
    cpu::parallel_for(
        10, [&](int64_t i) { cpu::parallel_for(100, [&](int64_t j) { ++hits[size_t(i * 100 + j)]; }); });
    CHECK(hits == std::vector<int>(1000, 1));
  }
  cpu::set_thread_count(2);
}
