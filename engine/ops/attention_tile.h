// The products inside attention: small, single-threaded, on operands where they lie.
//
// Attention keeps its scores transposed, keys by queries, so that a SIMD lane is a query: maxima, sums and
// rescaling of the softmax are then lane by lane, and K and V enter products as broadcast scalars, in place,
// whatever their row stride. Included by attention_cpu.cc only.
#pragma once

#pragma GCC diagnostic ignored "-Wignored-attributes"  // vector types as template arguments

#include "engine/cpu/bf16_pairs.h"
#include "engine/cpu/chunk.h"
#include "engine/cpu/tiles.h"

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

// How numbers enter a product. A step of depth is what one Element holds: one number, or two of them.
template <class C>
struct Singles {
  using Sum = C;
  using Element = C;
  using Row = Packet<C>;
  static constexpr int64_t kDepth = 1, kPadding = 2;  // kPadding: what channels are filled up to
  static ENGINE_INLINE Row load_row(const C* p) { return Eigen::internal::ploadu<Row>(p); }
  static ENGINE_INLINE void multiply_add(Packet<C>& sum, C a, const Row& row) {
    sum = Eigen::internal::pmadd(Eigen::internal::pset1<Row>(a), row, sum);
  }
};
#if defined(__AVX512F__)
/// bf16_pairs.h
template <bool Emulated>
struct Pairs {
  using Sum = float;
  using Element = uint32_t;
  using Row = PairRow;
  static constexpr int64_t kDepth = 2, kPadding = 2;
  static ENGINE_INLINE Row load_row(const uint32_t* p) {
    Row row;
    __builtin_memcpy(&row, p, sizeof row);
    return row;
  }
  static ENGINE_INLINE void multiply_add(Packet<float>& sum, uint32_t a, const Row& row) {
    PairSums sums = sum;
    add_pair_products<Emulated>(sums, a, row);
    sum = sums;
  }
};
#endif
template <class M>
constexpr int64_t steps_of(int64_t depth) {
  return (depth + M::kDepth - 1) / M::kDepth;
}

/// a(m, k) = data[m * row + k * column], k in steps
template <class E>
struct Operand {
  const E* data;
  int64_t row, column;
};

template <int Rows, int Vectors, class M>
ENGINE_INLINE void register_tile(Operand<typename M::Element> a, const typename M::Element* b, int64_t ldb,
                                 typename M::Sum* c, int64_t ldc, int64_t steps, bool accumulate) {
  using namespace Eigen::internal;
  using C = typename M::Sum;
  Packet<C> sum[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v)
      sum[r][v] = accumulate ? ploadu<Packet<C>>(c + r * ldc + v * kLanes<C>) : pset1<Packet<C>>(C(0));
  for (int64_t k = 0; k < steps; ++k) {
    typename M::Row row[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) row[v] = M::load_row(b + k * ldb + v * kLanes<C>);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const typename M::Element x = a.data[r * a.row + k * a.column];
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) M::multiply_add(sum[r][v], x, row[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) pstoreu(c + r * ldc + v * kLanes<C>, sum[r][v]);
}

template <int Vectors, class M>
void column_of_tiles(int64_t rows, Operand<typename M::Element> a, const typename M::Element* b, int64_t ldb,
                     typename M::Sum* c, int64_t ldc, int64_t steps, bool accumulate) {
  int64_t m = 0;
  const auto tile = [&]<int Rows>(std::integral_constant<int, Rows>) {
    const Operand<typename M::Element> at = {a.data + m * a.row, a.row, a.column};
    register_tile<Rows, Vectors, M>(at, b, ldb, c + m * ldc, ldc, steps, accumulate);
    m += Rows;
  };
  while (m + kTileRows <= rows) tile(std::integral_constant<int, kTileRows>());
  if (m + 4 <= rows) tile(std::integral_constant<int, 4>());
  if (m + 2 <= rows) tile(std::integral_constant<int, 2>());
  if (m < rows) tile(std::integral_constant<int, 1>());
}

/// c [rows, columns] = a [rows, steps] b [steps, columns], or += ; `columns` is a multiple of the lanes.
template <class M>
void tile_product(int64_t rows, int64_t columns, int64_t steps, Operand<typename M::Element> a,
                  const typename M::Element* b, int64_t ldb, typename M::Sum* c, int64_t ldc,
                  bool accumulate) {
  if constexpr (requires { &M::product; }) {
    M::product(rows, columns, steps, a, b, ldb, c, ldc, accumulate);
  } else {
    constexpr int64_t lanes = kLanes<typename M::Sum>;
    int64_t n = 0;
    for (; n + kTileVectors * lanes <= columns; n += kTileVectors * lanes)
      column_of_tiles<kTileVectors, M>(rows, a, b + n, ldb, c + n, ldc, steps, accumulate);
    for (; n < columns; n += lanes) column_of_tiles<1, M>(rows, a, b + n, ldb, c + n, ldc, steps, accumulate);
  }
}

#if defined(__AVX512F__)
/// tiles.h. Left operands lie in rows of pairs; both are zero past `steps`, up to whole steps of tiles.
template <bool Emulated>
struct OnTiles {
  using Sum = float;
  using Element = uint32_t;
  static constexpr int64_t kDepth = 2, kPadding = kTileDepth;

  static void product(int64_t rows, int64_t columns, int64_t steps, Operand<uint32_t> a, const uint32_t* b,
                      int64_t ldb, float* c, int64_t ldc, bool accumulate) {
    constexpr int64_t side = kTileSide;
    const int64_t depth = (steps + side - 1) / side;
    const auto left = [&](int64_t r) { return TileOperand{a.data + r * a.row, a.row, side * a.row, side}; };
    const auto right = [&](int64_t j) { return TileOperand{b + j, ldb, side, side * ldb}; };
    const auto one = [&](int64_t r, int64_t j) {
      float* const to = c + r * ldc + j;
      const int64_t there = rows - r;
      if (there >= side) return multiply_tile<Emulated>(depth, left(r), right(j), to, ldc, accumulate);
      float sums[side * side];
      for (int64_t i = 0; i < there && accumulate; ++i)
        __builtin_memcpy(sums + i * side, to + i * ldc, side * sizeof(float));
      multiply_tile<Emulated>(depth, left(r), right(j), sums, side, accumulate);
      for (int64_t i = 0; i < there; ++i)
        __builtin_memcpy(to + i * ldc, sums + i * side, side * sizeof(float));
    };
    for (int64_t r = 0; r < rows; r += 2 * side)
      for (int64_t j = 0; j < columns; j += 2 * side) {
        if (r + 2 * side <= rows && j + 2 * side <= columns) {
          multiply_tiles<Emulated>(depth, left(r), right(j), c + r * ldc + j, ldc, accumulate);
          continue;
        }
        for (int64_t r1 = r; r1 < rows && r1 < r + 2 * side; r1 += side)
          for (int64_t j1 = j; j1 < columns && j1 < j + 2 * side; j1 += side) one(r1, j1);
      }
  }
};
#endif

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
