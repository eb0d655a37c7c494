// Read first: shuffle.h.
#include "data/shuffle.h"

#include <bit>
#include <cassert>

namespace data {

engine::Rng item_rng(uint64_t seed, Draw purpose, int64_t epoch, int64_t index) {
  const engine::PhiloxBits b =
      engine::philox(seed, uint64_t(index), (uint64_t(purpose) << 48) + uint64_t(epoch));
  return {.seed = (uint64_t(b.word[0]) << 32) | b.word[1]};
}

int64_t shuffled_index(uint64_t seed, int64_t epoch, int64_t n, int64_t index) {
  assert(n > 0 && index >= 0 && index < n);
  if (n == 1) return 0;
  constexpr int kRounds =
      6;  // 4 make a strong pseudo-random permutation (Luby and Rackoff); small halves want more
  const int half = (std::bit_width(uint64_t(n - 1)) + 1) / 2;
  const uint64_t mask = (uint64_t(1) << half) - 1;
  const uint64_t stream = (uint64_t(Draw::shuffle) << 48) + uint64_t(epoch);
  uint64_t x = uint64_t(index);
  do {
    uint64_t left = x >> half, right = x & mask;
    for (uint64_t round = 0; round < kRounds; ++round) {
      const uint64_t f = engine::philox(seed, (round << 56) + right, stream).word[0];
      const uint64_t next = left ^ (f & mask);
      left = right, right = next;
    }
    x = (left << half) | right;
  } while (x >= uint64_t(n));
  return int64_t(x);
}

int64_t mix_fingerprint(int64_t fingerprint, uint64_t value) {
  const engine::PhiloxBits b = engine::philox(uint64_t(fingerprint), value);
  return int64_t(((uint64_t(b.word[0]) << 32) | b.word[1]) >> 11) | 1;
}

}  // namespace data
