// Rotary position embedding, half-split pairs (i, i + n/2).
//
//   angle(t, i) = (offset + t) f_i;  y_i = x_i cos - x_{i+n/2} sin;  y_{i+n/2} = x_{i+n/2} cos + x_i sin
//
// with f_i = theta^(-2i/n), or any other list. Angles and tables in double, whatever the dtype. Source: Su et
// al., arXiv 2104.09864; the half-split order is GPT-NeoX's and Llama's.
#pragma once

#include <vector>

#include "engine/autograd/tape.h"

namespace engine {

/// How fast each pair of a head turns, in radians a position.
struct RopeAngles {
  std::vector<double> frequencies;  // n/2 of them; 0: the pair stays as it is
  double amplitude = 1;             // what turns is multiplied by this (YaRN's attention factor)
  bool operator==(const RopeAngles&) const = default;
};

/// theta^(-2i/n) for a head of n channels.
RopeAngles plain_rope_angles(int64_t n, double theta);

/// Cosines and sines [positions, n / 2] of positions from `first` on, times the amplitude, computed in
/// double.
struct RopeTable {
  Tensor cos, sin;
};
/// Kept for the next call with these angles. Errors: not n/2 frequencies, or one that is not finite.
RopeTable rope_table(int64_t n, int64_t first, int64_t positions, const RopeAngles& angles, DType dtype,
                     Device device);

/// x [B, T, heads * n] with uniform rows; n even. Position of row t is offset + t. Output contiguous. Errors:
/// not n/2 frequencies, or one that is not finite.
Tensor rope(const Tensor& x, int64_t heads, const RopeAngles& angles, int64_t offset = 0);
/// The same with plain_rope_angles(n, theta).
Tensor rope(const Tensor& x, int64_t heads, double theta, int64_t offset = 0);

}  // namespace engine
