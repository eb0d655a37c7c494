// Read first: tile_block.h.
#include "engine/cpu/tile_block.h"

#include "engine/cpu/tile_pack.h"

namespace engine::cpu::ENGINE_ISA {

void tile_block([[maybe_unused]] const TileBlock& t) {
#if defined(__AVX512F__)
  if (t.emulated)
    multiply_tiles<true>(t.steps, a_panel(t.a), b_panel(t.b), t.c, kTilePanel, true);
  else {
    const TileUse<false> tiles;
    multiply_tiles<false>(t.steps, a_panel(t.a), b_panel(t.b), t.c, kTilePanel, true);
  }
#endif
}

}  // namespace engine::cpu::ENGINE_ISA
