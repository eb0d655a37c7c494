// Read first: positions_kernels.h.
#include "engine/ops/positions_kernels.h"

#include <cmath>

#include "engine/cpu/chunk.h"

namespace engine::cpu::ENGINE_ISA {

void sinusoidal(const Sinusoidal& a) {
  const int64_t half = a.width / 2;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    parallel_chunks(half, 4, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) {
        const double frequency = std::exp(-double(j) * std::log(10000.0) / double(half - 1));
        for (int64_t p = 0; p < a.positions; ++p) {
          const double angle = double(a.first + p) * frequency;
          T* row = static_cast<T*>(a.y) + p * a.width + j;
          row[0] = narrow<T>(Compute<T>(std::sin(angle)));
          row[half] = narrow<T>(Compute<T>(std::cos(angle)));
        }
      }
    });
  });
}

}  // namespace engine::cpu::ENGINE_ISA
