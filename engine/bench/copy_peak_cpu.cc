// Read first: copy_peak.h.
#include "engine/bench/copy_peak.h"

#include "engine/cpu/chunk.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace engine::cpu::ENGINE_ISA {
namespace {

constexpr int64_t kLine = 16;  // floats of a cache line

ENGINE_INLINE void copy_line(const float* from, float* to) {
  typedef float Line __attribute__((vector_size(64), aligned(4)));
  *reinterpret_cast<Line*>(to) = *reinterpret_cast<const Line*>(from);
}

ENGINE_INLINE void stream_line(const float* from, float* to) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, _mm512_loadu_ps(from));
#elif defined(__SSE2__)
  for (int i = 0; i < kLine; i += 4) _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
#else
  copy_line(from, to);
#endif
}

}  // namespace

void copy_peak(const CopyPeak& a) {
  parallel_chunks(a.n, kGrain, [&](int64_t begin, int64_t end) {
    int64_t i = begin;
    if (a.streaming)
      for (; i + kLine <= end; i += kLine) stream_line(a.from + i, a.to + i);
    for (; i + kLine <= end; i += kLine) copy_line(a.from + i, a.to + i);
    for (; i < end; ++i) a.to[i] = a.from[i];
#if defined(__SSE2__)
    _mm_sfence();
#endif
  });
}

}  // namespace engine::cpu::ENGINE_ISA
