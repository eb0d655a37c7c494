// Which processor level the CPU's kernels run at: NORMLAB_ISA=base|avx2|avx512 forces one.
#pragma once

namespace engine::cpu {

enum class Isa { base, avx2, avx512 };

/// The level in use: the best that is compiled in and that the processor has, or NORMLAB_ISA's.
Isa isa();
const char* name_of(Isa level);
/// How products of bf16 with bf16 are formed: widened to f32, or as pairs by VDPBF16PS (AVX512-BF16) where
/// the processor has it. NORMLAB_BF16=widened|pairs|emulated_pairs forces one; the last does what VDPBF16PS
/// does on any AVX-512 processor, slowly, so that the way there is tested everywhere.
enum class Bf16Product { widened, pairs, emulated_pairs };
Bf16Product bf16_product();
const char* name_of(Bf16Product way);
/// Whether kernels round to bf16 by the processor's instruction (VCVTNEPS2BF16), which comes with VDPBF16PS
/// and is chosen with it: any other NORMLAB_BF16 rounds in integer arithmetic.
extern const bool bf16_rounding;

}  // namespace engine::cpu
