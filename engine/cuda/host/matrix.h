// The tensor cores' instructions: ldmatrix and mma.sync.m16n8k16, on fragments laid out as the PTX ISA says
// ("Matrix Fragments for mma.m16n8k16"). With g = lane / 4 and t = lane % 4, a lane holds these elements, two
// in a register:
//
//   A [16, 16]   (g, 2t..)  (g + 8, 2t..)  (g, 2t + 8..)  (g + 8, 2t + 8..)
//   B [16, 8]    (2t.., g)  (2t + 8.., g)
//   C [16, 8]    (g, 2t..)  (g + 8, 2t..)                                    in f32
#pragma once

#include <cstdint>

#include "engine/core/dtype.h"
#include "engine/cuda/host/where.h"

namespace engine::standin {

/// Four 8 x 8 matrices of 16-bit elements; lane i gives the address (shared memory) of row i % 8 of matrix i
/// / 8, and receives two elements of each: of row g, columns 2t and 2t + 1; transposed, of column g, rows 2t
/// and 2t + 1.
void load_matrices(uint32_t (&registers)[4], const void* row, bool transposed, Where where);

/// d += a b. Products are exact and added in f32 in the order of k; a tensor core's own order is not
/// published.
template <class T>
void multiply_fragments(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, Where where);
extern template void multiply_fragments<bf16>(float (&)[4], const uint32_t (&)[4], uint32_t, uint32_t, Where);
extern template void multiply_fragments<f16>(float (&)[4], const uint32_t (&)[4], uint32_t, uint32_t, Where);

}  // namespace engine::standin
