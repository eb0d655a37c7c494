// Random orders and random draws as pure functions of a few integers, so that an order of any length costs no
// memory and a resumed run needs to replay nothing.
//
// shuffled_index is a format-preserving permutation: a Feistel network over the smallest even number of bits
// that holds n, with Philox as the round function, walked along its cycle until the value is below n (Black
// and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002, method 2 and 3). Fewer than 4 steps on
// average.
#pragma once

#include <cstdint>

#include "engine/base/philox.h"

namespace data {

/// What a random draw is for: draws for different purposes never share bits.
enum class Draw : uint64_t { shuffle = 1, crop = 2, mask = 3, split = 4, dropout = 5 };

/// The generator of one item: a pure function of its arguments.
engine::Rng item_rng(uint64_t seed, Draw purpose, int64_t epoch, int64_t index);

/// A permutation of [0, n) for each (seed, epoch).
int64_t shuffled_index(uint64_t seed, int64_t epoch, int64_t n, int64_t index);

/// Folds a value into a fingerprint; the result is positive and below 2^53, so that any JSON reader keeps it.
int64_t mix_fingerprint(int64_t fingerprint, uint64_t value);

}  // namespace data
