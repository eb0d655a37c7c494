// Philox4x32-10: random bits as a pure function of (seed, offset), so that CPU, GPU, any number of threads
// and a recomputed forward pass all draw the same numbers. Nothing is stored but two integers.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011), section 4.3.
#pragma once

#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define ENGINE_INLINE __host__ __device__ __forceinline__
#else
#define ENGINE_INLINE __attribute__((always_inline)) inline
#endif

namespace engine {

struct PhiloxBits {
  uint32_t word[4];
};

/// 128 random bits for block `counter` of stream `stream` under `seed`.
ENGINE_INLINE PhiloxBits philox(uint64_t seed, uint64_t counter, uint64_t stream = 0) {
  uint32_t c0 = uint32_t(counter), c1 = uint32_t(counter >> 32), c2 = uint32_t(stream),
           c3 = uint32_t(stream >> 32);
  uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xD2511F53u) * c0;
    const uint64_t p1 = uint64_t(0xCD9E8D57u) * c2;
    c0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
    c1 = uint32_t(p1);
    c2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c3 = uint32_t(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// A float in [0, 1) with 24 random bits.
ENGINE_INLINE float unit_float(uint32_t bits) { return float(bits >> 8) * (1.0f / 16777216.0f); }
/// A double in [0, 1) with 53 random bits.
ENGINE_INLINE double unit_double(uint32_t high, uint32_t low) {
  return double((uint64_t(high) << 21) ^ (uint64_t(low) >> 11)) * (1.0 / 9007199254740992.0);
}

/// Blocks that a dropout mask over n elements takes: element e is decided by word e % 4 of block e / 4.
ENGINE_INLINE uint64_t dropout_blocks(int64_t n) { return (uint64_t(n) + 3) / 4; }

/// A position in one random stream. Drawing advances the offset; copying the two integers repeats the draws.
struct Rng {
  uint64_t seed = 0;
  uint64_t offset = 0;  // in Philox blocks of four 32-bit words
  /// Where kernels find the seed instead: device memory, in a step that is recorded (engine/core/graph.h).
  /// Masks alone are drawn from such a generator.
  const uint64_t* seed_memory = nullptr;

  /// Hands out `blocks` consecutive Philox blocks and returns the first one's index.
  uint64_t reserve(uint64_t blocks) {
    const uint64_t first = offset;
    offset += blocks;
    return first;
  }
  /// 64 random bits.
  uint64_t bits() {
    const PhiloxBits b = philox(seed, reserve(1));
    return (uint64_t(b.word[0]) << 32) | b.word[1];
  }
  /// Uniform in [0, 1).
  double uniform() {
    const PhiloxBits b = philox(seed, reserve(1));
    return unit_double(b.word[0], b.word[1]);
  }
  /// Uniform integer in [0, n), n > 0, without bias (rejection).
  uint64_t below(uint64_t n) {
    const uint64_t limit = ~uint64_t(0) - (~uint64_t(0) % n + 1) % n;
    uint64_t x = bits();
    while (x > limit) x = bits();
    return x % n;
  }
  /// Standard normal (Box-Muller; one of the pair is dropped, so that a draw costs one block).
  double normal() {
    const PhiloxBits b = philox(seed, reserve(1));
    const double u = 1.0 - unit_double(b.word[0], b.word[1]);  // in (0, 1]
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586477 * unit_double(b.word[2], b.word[3]));
  }
};

}  // namespace engine
