// Which launches are ordered before which: by their stream, by an event, or because the host waited.
//
// Every launch (and every copy, which counts as one) has a place in its stream's sequence, and a clock that
// says for each stream up to which place it knows the work to be done. Launch a is ordered before launch b
// when b's clock has reached a's place. The race check asks this of accesses of two launches, so that a
// missing event is found even when the values came out right.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "engine/cuda/host/where.h"

namespace engine::standin {

constexpr int kStreams = 16;  // that may exist at a time

struct Clock {
  std::array<uint64_t, kStreams> reached{};
  void join(const Clock& other) {
    for (int i = 0; i < kStreams; ++i)
      reached[size_t(i)] = std::max(reached[size_t(i)], other.reached[size_t(i)]);
  }
};

/// Begins the launch at place known.reached[stream] of its stream: gives it the next launch number.
void begin_launch(int stream, const Clock& known, Where where);
/// The launch that is being carried out; one at a time.
uint32_t launch_in_progress();
/// Whether a launch of this number is ordered before the one in progress.
bool ordered_before(uint32_t launch);
Where launch_site(uint32_t launch);
/// How often launch numbers have begun again: stamps of another round mean nothing.
uint32_t launch_round();

}  // namespace engine::standin
