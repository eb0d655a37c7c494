// Read first: matrix.h.
#include "engine/cuda/host/matrix.h"

#include <cstring>

#include "engine/cuda/host/access.h"
#include "engine/cuda/host/collectives.h"
#include "engine/cuda/host/count.h"
#include "engine/cuda/host/settings.h"

namespace engine::standin {
namespace {

template <class T>
float half_of(uint32_t pair, int upper) {
  return widen(T{uint16_t(upper ? pair >> 16 : pair)});
}

struct MatrixRow {
  const char* row;
  uint32_t* registers;
};

// Gives every lane its two elements of each of the four matrices.
template <bool kTransposed>
void deliver(Lane* warp, uint32_t) {
  for (int m = 0; m < 4; ++m)
    for (int i = 0; i < 32; ++i) {
      uint16_t element[2];
      for (int k = 0; k < 2; ++k) {
        const int g = i / 4, t = i % 4 * 2 + k, row = kTransposed ? t : g, column = kTransposed ? g : t;
        std::memcpy(&element[k], static_cast<MatrixRow*>(warp[m * 8 + row].operands)->row + column * 2, 2);
      }
      static_cast<MatrixRow*>(warp[i].operands)->registers[m] = uint32_t(element[0]) | uint32_t(element[1])
                                                                                           << 16;
    }
}

}  // namespace

void load_matrices(uint32_t (&registers)[4], const void* row, bool transposed, Where where) {
  MatrixRow operands{static_cast<const char*>(row), registers};
  shared_access(row, 16, Access::read, where);
  warp_collective(Collective::ldmatrix, kAllLanes, &operands, transposed ? &deliver<true> : &deliver<false>,
                  where);
}

template <class T>
void multiply_fragments(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, Where where) {
  struct Operands {
    float* d;
    const uint32_t* a;
    uint32_t b[2];
  } operands{d, a, {b0, b1}};
  warp_collective(
      Collective::mma, kAllLanes, &operands,
      [](Lane* warp, uint32_t) {
        float A[16][16], B[16][8], C[16][8];
        for (int i = 0; i < 32; ++i) {
          const Operands& o = *static_cast<Operands*>(warp[i].operands);
          const int g = i / 4, t = i % 4;
          for (int k = 0; k < 2; ++k) {
            A[g][2 * t + k] = half_of<T>(o.a[0], k), A[g + 8][2 * t + k] = half_of<T>(o.a[1], k);
            A[g][2 * t + 8 + k] = half_of<T>(o.a[2], k), A[g + 8][2 * t + 8 + k] = half_of<T>(o.a[3], k);
            B[2 * t + k][g] = half_of<T>(o.b[0], k), B[2 * t + 8 + k][g] = half_of<T>(o.b[1], k);
            C[g][2 * t + k] = o.d[k], C[g + 8][2 * t + k] = o.d[2 + k];
          }
        }
        for (int i = 0; i < 16; ++i)
          for (int k = 0; k < 16; ++k)
            for (int j = 0; j < 8; ++j) C[i][j] += A[i][k] * B[k][j];
        for (int i = 0; i < 32; ++i) {
          const Operands& o = *static_cast<Operands*>(warp[i].operands);
          const int g = i / 4, t = i % 4;
          for (int k = 0; k < 2; ++k) o.d[k] = C[g][2 * t + k], o.d[2 + k] = C[g + 8][2 * t + k];
        }
        if (settings().count) count_matrix(2 * 16 * 8 * 16);
      },
      where);
}
template void multiply_fragments<bf16>(float (&)[4], const uint32_t (&)[4], uint32_t, uint32_t, Where);
template void multiply_fragments<f16>(float (&)[4], const uint32_t (&)[4], uint32_t, uint32_t, Where);

}  // namespace engine::standin
