// The products inside attention: small, single-threaded, on operands where they lie.
//
// Attention keeps its scores transposed, keys by queries, so that a SIMD lane is a query: maxima, sums and
// rescaling of the softmax are then lane by lane, and K and V enter products as broadcast scalars, in place,
// whatever their row stride. Included by attention_cpu.cc only.
#pragma once

#pragma GCC diagnostic ignored "-Wignored-attributes"  // vector types as template arguments

#include "engine/cpu/kernel.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

template <class C>
constexpr int64_t kLanes = Eigen::internal::unpacket_traits<Packet<C>>::size;

// Rows and vectors of the register tile: 24 of 32 registers hold sums, or 12 of 16.
constexpr int kTileRows = 6;
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kTileVectors = 4;
#else
constexpr int kTileVectors = 2;
#endif

constexpr int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// a(m, k) = data[m * row + k * column]
template <class C>
struct Operand {
  const C* data;
  int64_t row, column;
};

template <int Rows, int Vectors, class C>
ENGINE_INLINE void register_tile(Operand<C> a, const C* b, int64_t ldb, C* c, int64_t ldc, int64_t depth,
                                 bool accumulate) {
  using namespace Eigen::internal;
  Packet<C> sum[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v)
      sum[r][v] = accumulate ? ploadu<Packet<C>>(c + r * ldc + v * kLanes<C>) : pset1<Packet<C>>(C(0));
  for (int64_t k = 0; k < depth; ++k) {
    Packet<C> row[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) row[v] = ploadu<Packet<C>>(b + k * ldb + v * kLanes<C>);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Packet<C> x = pset1<Packet<C>>(a.data[r * a.row + k * a.column]);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[r][v] = pmadd(x, row[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) pstoreu(c + r * ldc + v * kLanes<C>, sum[r][v]);
}

template <int Vectors, class C>
void column_of_tiles(int64_t rows, Operand<C> a, const C* b, int64_t ldb, C* c, int64_t ldc, int64_t depth,
                     bool accumulate) {
  int64_t m = 0;
  const auto at = [&](int64_t row) { return Operand<C>{a.data + row * a.row, a.row, a.column}; };
  for (; m + kTileRows <= rows; m += kTileRows)
    register_tile<kTileRows, Vectors>(at(m), b, ldb, c + m * ldc, ldc, depth, accumulate);
  if (m + 4 <= rows) register_tile<4, Vectors>(at(m), b, ldb, c + m * ldc, ldc, depth, accumulate), m += 4;
  if (m + 2 <= rows) register_tile<2, Vectors>(at(m), b, ldb, c + m * ldc, ldc, depth, accumulate), m += 2;
  if (m < rows) register_tile<1, Vectors>(at(m), b, ldb, c + m * ldc, ldc, depth, accumulate);
}

/// c [rows, columns] = a [rows, depth] b [depth, columns], or += ; `columns` is a multiple of the lanes.
template <class C>
void tile_product(int64_t rows, int64_t columns, int64_t depth, Operand<C> a, const C* b, int64_t ldb, C* c,
                  int64_t ldc, bool accumulate) {
  int64_t n = 0;
  for (; n + kTileVectors * kLanes<C> <= columns; n += kTileVectors * kLanes<C>)
    column_of_tiles<kTileVectors>(rows, a, b + n, ldb, c + n, ldc, depth, accumulate);
  for (; n < columns; n += kLanes<C>) column_of_tiles<1>(rows, a, b + n, ldb, c + n, ldc, depth, accumulate);
}

/// to [columns, rows] = transpose of from [rows, columns], whole packets at a time where they fit.
template <class C>
void transpose(int64_t rows, int64_t columns, const C* from, int64_t ld_from, C* to, int64_t ld_to) {
  using namespace Eigen::internal;
  constexpr int64_t w = kLanes<C>;
  const int64_t whole_rows = rows / w * w, whole_columns = columns / w * w;
  for (int64_t r = 0; r < whole_rows; r += w)
    for (int64_t c = 0; c < whole_columns; c += w) {
      PacketBlock<Packet<C>, int(w)> block;
      for (int i = 0; i < w; ++i) block.packet[i] = ploadu<Packet<C>>(from + (r + i) * ld_from + c);
      ptranspose(block);
      for (int i = 0; i < w; ++i) pstoreu(to + (c + i) * ld_to + r, block.packet[i]);
    }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c)
      to[c * ld_to + r] = from[r * ld_from + c];
}

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA
