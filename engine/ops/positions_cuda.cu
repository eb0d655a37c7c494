// Read first: positions_kernels.h, engine/cuda/gpu.h. A thread a frequency of a position.
#include "engine/cuda/vectors.h"
#include "engine/ops/positions_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads, 1) sinusoidal_kernel(Sinusoidal a) {
  const int64_t half = a.width / 2;
  const Place<1> at(a.positions, half);
  if (!at.inside) return;
  const double frequency = std::exp(-double(at.column) * std::log(10000.0) / double(half - 1));
  const double angle = double(a.first + at.row) * frequency;
  const auto row = global(static_cast<T*>(a.y)) + at.row * a.width;
  row[at.column] = as_stored<T>(Compute<T>(std::sin(angle)));
  row[half + at.column] = as_stored<T>(Compute<T>(std::cos(angle)));
}

}  // namespace

void sinusoidal(const Sinusoidal& a) {
  const int64_t n = a.positions * (a.width / 2);
  if (n == 0) return;
  visit_float(a.dtype, [&](auto t) {
    launch<NoShared>(sinusoidal_kernel<decltype(t)>, blocks_for(n, kThreads), kThreads, current_stream(), a);
  });
}

}  // namespace engine::ENGINE_GPU
