// A product and a bias in one pass over the result: on a GPU, cuBLASLt adds the bias where it stores C.
// Read first: kernel/gemm.h.
#pragma once

#include "engine/kernel/gemm.h"

namespace engine {

/// C = op(A) op(B), to each row of which `bias` [n], of C's dtype, is added before C is rounded. A and B have
/// one dtype, f32, bf16 or f16, and C the same or f32; k > 0, one matrix, neither accumulating nor wide.
namespace cuda {
void biased_gemm(const Gemm& gemm, const void* bias);
}
namespace cuda_host {
void biased_gemm(const Gemm& gemm, const void* bias);
}

}  // namespace engine
