// The emulated TDPBF16PS and VDPBF16PS against the processor's, to the last bit, where the processor has
// them; against the bits that a processor gave; and against arithmetic in double where a wrong step would
// show.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "engine/cpu/pair_block.h"
#include "engine/cpu/tile_block.h"

using namespace engine;
using cpu::Bf16Product;

namespace {

uint32_t bits(float x) {
  uint32_t u;
  std::memcpy(&u, &x, sizeof u);
  return u;
}
float number(uint32_t u) {
  float x;
  std::memcpy(&x, &u, sizeof x);
  return x;
}

/// Biased exponents of the numbers of one case: from `low`, `count` of them.
struct Exponents {
  const char* name;
  uint32_t low, count;
};
constexpr Exponents kCases[] = {
    {"ordinary", 117, 20},        {"wide", 97, 60},    {"all", 0, 256}, {"denormal inputs", 0, 70},
    {"denormal products", 60, 8}, {"overflow", 187, 6}};

struct Block {
  int64_t steps;
  std::vector<uint32_t> a, b;
  std::vector<float> c;
};

/// A block of `a` and `b` pairs at each step, and as many sums.
Block random_block(const Exponents& e, int64_t steps, size_t a, size_t b, size_t sums, bool special,
                   std::mt19937& rng) {
  const auto half = [&]() -> uint32_t {
    constexpr uint32_t kSpecial[] = {0x7f80, 0xff80, 0x7fc0, 0x7f81, 0, 0x8000, 1, 0x807f};
    if (special && rng() % 40 == 0) return kSpecial[rng() % 8];
    const uint32_t rest = uint32_t(rng()) & 0x807f;
    return rest | (e.low + uint32_t(rng()) % e.count) << 7;
  };
  Block block{steps, std::vector<uint32_t>(size_t(steps) * a), std::vector<uint32_t>(size_t(steps) * b),
              std::vector<float>(sums)};
  for (auto* side : {&block.a, &block.b})
    for (uint32_t& pair : *side) pair = half(), pair |= half() << 16;
  for (float& c : block.c) {
    const uint32_t upper = half();
    c = number(upper << 16 | (uint32_t(rng()) & 0xffff));
  }
  return block;
}

/// For one product of 32 x 32 sums.
Block random_block(const Exponents& e, int64_t steps, bool special, std::mt19937& rng) {
  return random_block(e, steps, 512, 512, 32 * 32, special, rng);
}

std::vector<float> product(const Block& block, bool emulated) {
  std::vector<float> c = block.c;
  cpu::tile_block({block.steps, block.a.data(), block.b.data(), c.data(), emulated});
  return c;
}

/// 16 sums by VDPBF16PS.
std::vector<float> pair_product(const Block& block, bool emulated) {
  std::vector<float> c = block.c;
  cpu::pair_block({block.steps, block.a.data(), block.b.data(), c.data(), emulated});
  return c;
}

/// FNV-1a over words; any NaN is one word.
uint64_t mixed(uint64_t hash, const std::vector<float>& numbers) {
  for (const float x : numbers) hash = (hash ^ (std::isnan(x) ? 0x7fc00000u : bits(x))) * 1099511628211u;
  return hash;
}
constexpr uint64_t kHashOfNothing = 14695981039346656037u;

bool same(float x, float y) { return bits(x) == bits(y) || (std::isnan(x) && std::isnan(y)); }

}  // namespace

TEST_CASE("tiles: the emulated instruction has the processor's bits") {
  if (!cpu::supported(Bf16Product::amx)) return;
  std::mt19937 rng(1);
  for (const Exponents& e : kCases)
    for (const bool special : {false, true})
      for (int round = 0; round < 30; ++round) {
        const Block block = random_block(e, 1 + round % 3, special, rng);
        const std::vector<float> ours = product(block, true), theirs = product(block, false);
        INFO(e.name << (special ? ", with infinities and NaN" : ""));
        int64_t different = 0;
        for (size_t i = 0; i < ours.size(); ++i) different += !same(ours[i], theirs[i]);
        REQUIRE(different == 0);
      }
}

TEST_CASE("tiles: the bits that a processor gave, wherever the test runs") {
  if (!cpu::supported(Bf16Product::emulated_amx)) return;
  std::mt19937 rng(3);
  uint64_t hash = kHashOfNothing;
  for (const Exponents& e : kCases) hash = mixed(hash, product(random_block(e, 2, true, rng), true));
  CHECK(hash == 0x557081fc1d47e9fcu);
}

TEST_CASE("tiles: sums of products, the first elements of the pairs apart from the second") {
  if (!cpu::supported(Bf16Product::emulated_amx)) return;
  std::mt19937 rng(2);
  const Block block = random_block(kCases[0], 5, false, rng);
  const std::vector<float> c = product(block, true);
  const auto at = [](uint32_t pair, int which) {
    return double(number(which ? pair & 0xffff0000u : pair << 16));
  };
  for (size_t i = 0; i < 32; ++i)
    for (size_t j = 0; j < 32; ++j) {
      double sum = block.c[i * 32 + j], size = std::abs(sum);
      for (size_t step = 0; step < 5; ++step)
        for (size_t p = 0; p < 16; ++p)
          for (int which : {0, 1}) {
            const double term =
                at(block.a[step * 512 + i * 16 + p], which) * at(block.b[step * 512 + p * 32 + j], which);
            sum += term, size += std::abs(term);
          }
      REQUIRE(std::abs(double(c[i * 32 + j]) - sum) <= 1e-6 * size);
    }

  // One small product beside two large ones that cancel: it survives only where it is in the other chain.
  Block chains{1, std::vector<uint32_t>(512), std::vector<uint32_t>(512), std::vector<float>(32 * 32)};
  const auto bf16_bits = [](float x) { return bits(x) >> 16; };
  const uint32_t large = bf16_bits(16777216.f), small = bf16_bits(1.f);
  for (size_t row = 0; row < 2; ++row) {
    uint32_t* pairs = &chains.a[row * 16];
    pairs[0] = large, pairs[1] = row == 0 ? small : small << 16, pairs[2] = large | 0x8000;
  }
  for (size_t p = 0; p < 16; ++p) chains.b[p * 32] = small | small << 16;
  const std::vector<float> sums = product(chains, true);
  CHECK(sums[0] == 0);   // 2^24 + 1 - 2^24 in one chain
  CHECK(sums[32] == 1);  // (2^24 - 2^24) + 1
}

TEST_CASE("pairs: the emulated instruction has the processor's bits") {
  if (!cpu::supported(Bf16Product::pairs)) return;
  std::mt19937 rng(1);
  for (const Exponents& e : kCases)
    for (const bool special : {false, true})
      for (int round = 0; round < 1000; ++round) {
        const Block block = random_block(e, 1 + round % 5, 1, 16, 16, special, rng);
        const std::vector<float> ours = pair_product(block, true), theirs = pair_product(block, false);
        INFO(e.name << (special ? ", with infinities and NaN" : ""));
        for (size_t i = 0; i < ours.size(); ++i) REQUIRE(same(ours[i], theirs[i]));
      }
}

TEST_CASE("pairs: the bits that a processor gave, wherever the test runs") {
  if (!cpu::supported(Bf16Product::emulated_pairs)) return;
  std::mt19937 rng(3);
  uint64_t hash = kHashOfNothing;
  for (const Exponents& e : kCases)
    for (int round = 0; round < 100; ++round)
      hash = mixed(hash, pair_product(random_block(e, 3, 1, 16, 16, true, rng), true));
  CHECK(hash == 0xb05244ddf3185cefu);
}

TEST_CASE("pairs: the second elements' product is added first, and each is rounded once") {
  if (!cpu::supported(Bf16Product::emulated_pairs)) return;
  const auto pair = [](float first, float second) {
    return bits(first) >> 16 | (bits(second) & 0xffff0000u);
  };
  Block block{
      1, {pair(1, 16777216)}, std::vector<uint32_t>(16, pair(1, 1)), std::vector<float>(16, -16777216)};
  CHECK(pair_product(block, true)[0] == 1);  // -2^24 + 2^24 + 1; the other way around 0
  // (1 + 2^-7)^2 - 1 has the 15 bits that a product rounded by itself has too; added to 2^-24 it has not.
  block = {1,
           {pair(0, 1.0078125f)},
           std::vector<uint32_t>(16, pair(0, 1.0078125f)),
           std::vector<float>(16, -1.015625f)};
  CHECK(pair_product(block, true)[0] == 0x1p-14f);
}
