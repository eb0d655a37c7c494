// Read first: random.h, random_kernels.h. Bits for a chunk, then the law on the whole chunk in packet math.
#include "engine/cpu/chunk.h"
#include "engine/ops/random_kernels.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

constexpr int kBlocks = int(kChunk) / 4;
constexpr float kTwoPi = 6.2831853f, kMost = 3;  // truncation, in standard deviations

/// A chunk of Philox words, word w of block b at words[w][b].
struct Words {
  uint32_t words[4][kBlocks];
};

void draw(uint64_t seed, uint64_t first, uint64_t stream, Words& w) {
  for (int b = 0; b < kBlocks; ++b) {
    const PhiloxBits bits = philox(seed, first + uint64_t(b), stream);
    for (int i = 0; i < 4; ++i) w.words[i][b] = bits.word[i];
  }
}

/// Two normal draws from two words, for `n` blocks. 1 - u is in (0, 1], so that its logarithm is finite.
void box_muller(const uint32_t* a, const uint32_t* b, float* x, float* y, int n) {
  for (int i = 0; i < n; ++i) x[i] = 1 - unit_float(a[i]), y[i] = kTwoPi * unit_float(b[i]);
  const auto radius = (-2 * in<float>(x, n).log()).sqrt().eval();
  const auto angle = in<float>(y, n).eval();
  out<float>(x, n) = radius * angle.cos();
  out<float>(y, n) = radius * angle.sin();
}

/// Draw number i of a block when it is drawn again for the `attempt`-th time.
float draw_again(uint64_t seed, uint64_t block, int i, uint64_t attempt) {
  const PhiloxBits bits = philox(seed, block, attempt);
  const int pair = i & ~1;
  float x, y;
  box_muller(&bits.word[pair], &bits.word[pair + 1], &x, &y, 1);
  return i % 2 ? y : x;
}

template <class T>
void fill(const RandomFill& a) {
  parallel_chunks(a.n, kGrain, [&](int64_t begin, int64_t end) {
    each_chunk(begin, end, [&](int64_t at, int64_t n) {
      Words w;
      const uint64_t first = a.offset + uint64_t(at) / 4;
      draw(a.seed, first, 0, w);
      alignas(64) float value[4][kBlocks];
      if (a.law == Law::uniform) {
        for (int i = 0; i < 4; ++i)
          for (int b = 0; b < kBlocks; ++b) value[i][b] = 2 * unit_float(w.words[i][b]) - 1;
      } else {
        for (int i = 0; i < 4; i += 2)
          box_muller(w.words[i], w.words[i + 1], value[i], value[i + 1], kBlocks);
      }
      T* to = static_cast<T*>(a.values) + at;
      for (int64_t e = 0; e < n; ++e) {
        float x = value[e % 4][e / 4];
        if (a.law == Law::truncated)
          for (uint64_t attempt = 1; __builtin_fabsf(x) > kMost; ++attempt)
            x = draw_again(a.seed, first + uint64_t(e) / 4, int(e % 4), attempt);
        to[e] = T(a.scale * double(x));
      }
    });
  });
}

}  // namespace

void random_fill(const RandomFill& a) { a.is_double ? fill<double>(a) : fill<float>(a); }

}  // namespace engine::cpu::ENGINE_ISA
