// Read first: pair_block.h.
#include "engine/cpu/pair_block.h"

#include <cstring>

#include "engine/cpu/bf16_pairs.h"

namespace engine::cpu::ENGINE_ISA {

void pair_block([[maybe_unused]] const PairBlock& p) {
#if defined(__AVX512F__)
  PairSums sum;
  PairRow row;
  std::memcpy(&sum, p.c, sizeof sum);
  for (int64_t s = 0; s < p.steps; ++s) {
    std::memcpy(&row, p.b + s * 16, sizeof row);
    if (p.emulated)
      add_pair_products<true>(sum, p.a[s], row);
    else
      add_pair_products<false>(sum, p.a[s], row);
  }
  std::memcpy(p.c, &sum, sizeof sum);
#endif
}

}  // namespace engine::cpu::ENGINE_ISA
