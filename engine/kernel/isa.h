// Which processor level the CPU's kernels run at: NORMLAB_ISA=base|avx2|avx512 forces one.
#pragma once

namespace engine::cpu {

enum class Isa { base, avx2, avx512 };

/// The level in use: the best that is compiled in and that the processor has, or NORMLAB_ISA's.
Isa isa();
const char* name_of(Isa level);

/// How products of bf16 with bf16 are formed: widened to f32; as pairs by VDPBF16PS (AVX512-BF16); on tiles
/// by TDPBF16PS (AMX), where f16 with f16 is formed too, of bf16 parts (engine/cpu/tile_pack.h).
/// NORMLAB_BF16=widened|pairs|amx|emulated_pairs|emulated_amx forces one; the last two do what the
/// instructions do on any AVX-512 processor, slowly, so that the way there is tested everywhere.
enum class Bf16Product { widened, pairs, amx, emulated_pairs, emulated_amx };
/// The way in use: NORMLAB_BF16's, or the fastest that there is. Results depend on it, so the choice never
/// hangs on how busy a machine is (isa.cc).
Bf16Product bf16_product();
const char* name_of(Bf16Product way);
/// Whether this processor, this system and the level in use can do it.
bool supported(Bf16Product way);
/// Why bf16_product() is what it is, in words.
const char* bf16_product_reason();
/// Whether kernels round to bf16 by the processor's instruction (VCVTNEPS2BF16), which comes with VDPBF16PS:
/// where nothing else is forced by NORMLAB_BF16 than a way of the processor's own; else in integer
/// arithmetic.
extern const bool bf16_rounding;

}  // namespace engine::cpu
