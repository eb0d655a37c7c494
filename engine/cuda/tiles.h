// Tiles of matrices in shared memory, as ldmatrix reads them. Read first: gpu.h, host/matrix.h (fragments).
// Included by kernel files.
//
// A tile is some rows of a matrix, in chunks of 16 bytes. Where chunk c of row r stands is swizzled, so that
// the eight rows that ldmatrix reads together lie in eight different bank groups.
#pragma once

#include "engine/cuda/vectors.h"

namespace engine::ENGINE_GPU {

template <class T, int D, int kRows>
struct Tile {
  SharedArray<T, kRows * D> x;
};

/// Where chunk c (8 elements) of row r stands. Rows of 8 or 16 chunks, and of 4 or 12, of which two cover all
/// banks.
template <int D>
GPU_INLINE int place(int r, int c) {
  return r * D + (D % 64 == 0 ? c ^ (r & 7) : c ^ ((r >> 1) & 3)) * 8;
}

}  // namespace engine::ENGINE_GPU
