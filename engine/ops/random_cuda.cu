// Read first: random.h, random_kernels.h. Four draws a thread: what one Philox block gives.
#include "engine/cuda/vectors.h"
#include "engine/ops/random_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256;
constexpr float kTwoPi = 6.2831853f, kMost = 3;  // truncation, in standard deviations

/// Two normal draws from two words. 1 - u is in (0, 1], so that its logarithm is finite.
GPU_INLINE void box_muller(uint32_t a, uint32_t b, float& x, float& y) {
  const float radius = std::sqrt(-2 * std::log(1 - unit_float(a))), angle = kTwoPi * unit_float(b);
  x = radius * std::cos(angle), y = radius * std::sin(angle);
}

GPU_INLINE void draw(const PhiloxBits& bits, Law law, float (&x)[4]) {
  if (law == Law::uniform) {
#pragma unroll
    for (int j = 0; j < 4; ++j) x[j] = 2 * unit_float(bits.word[j]) - 1;
  } else {
    box_muller(bits.word[0], bits.word[1], x[0], x[1]);
    box_muller(bits.word[2], bits.word[3], x[2], x[3]);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, 1) random_kernel(RandomFill a) {
  const int64_t i = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * 4;
  if (i >= a.n) return;
  const uint64_t block = a.offset + uint64_t(i) / 4;
  float x[4];
  draw(philox(a.seed, block), a.law, x);
  if (a.law == Law::truncated)
#pragma unroll
    for (int j = 0; j < 4; ++j)
      for (uint64_t attempt = 1; std::fabs(x[j]) > kMost;
           ++attempt) {  // drawn again, from another stream of the block
        float again[4];
        draw(philox(a.seed, block, attempt), a.law, again);
        x[j] = again[j];
      }
  const auto values = global(static_cast<T*>(a.values));
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (i + j < a.n) values[i + j] = T(a.scale * double(x[j]));
}

}  // namespace

void random_fill(const RandomFill& a) {
  if (a.n == 0) return;
  launch<NoShared>(a.is_double ? random_kernel<double> : random_kernel<float>, blocks_for(a.n, kThreads * 4),
                   kThreads, current_stream(), a);
}

}  // namespace engine::ENGINE_GPU
