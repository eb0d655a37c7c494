// Read first: routing_kernels.h, engine/cpu/chunk.h.
#include "engine/ops/routing_kernels.h"

#include "engine/cpu/chunk.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

constexpr int64_t kTokens = 64;  // a task

bool contains(const int32_t* list, int64_t n, int64_t value) {
  for (int64_t i = 0; i < n; ++i)
    if (list[i] == value) return true;
  return false;
}

template <class T>
void choose(const ChooseExperts& a) {
  parallel_chunks(a.tokens, kTokens, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T* p = static_cast<const T*>(a.probabilities) + t * a.experts;
      int32_t* chosen = a.chosen + t * a.k;
      for (int64_t j = 0; j < a.k; ++j) {
        int64_t best = -1;
        for (int64_t e = 0; e < a.experts; ++e)
          if ((best < 0 || widen(p[e]) > widen(p[best])) && !contains(chosen, j, e)) best = e;
        chosen[j] = int32_t(best);
      }
    }
  });
}

template <class T>
Compute<T> chosen_sum(const T* p, const int32_t* chosen, int64_t k) {
  Compute<T> sum = 0;
  for (int64_t j = 0; j < k; ++j) sum += widen(p[chosen[j]]);
  return sum;
}

template <class T>
void forward(const RouteForward& a) {
  for (int64_t slot = 0; slot < a.tokens * a.k; ++slot) {
    a.rows[slot] = int32_t(a.choices[slot] / a.k);
    a.slots[a.choices[slot]] = int32_t(slot);
  }
  const double slots = a.tokens > 0 ? double(a.tokens * a.k) : 1;  // of nothing, every share is 0
  for (int64_t e = 0; e < a.experts; ++e)
    static_cast<T*>(a.share)[e] = narrow<T>(Compute<T>(double(a.offsets[e + 1] - a.offsets[e]) / slots));
  a.starts[a.tokens] = int32_t(a.tokens * a.k);
  parallel_chunks(a.tokens, kTokens, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T* p = static_cast<const T*>(a.probabilities) + t * a.experts;
      const int32_t *chosen = a.chosen + t * a.k, *slots = a.slots + t * a.k;
      int32_t* order = a.order + t * a.k;
      a.starts[t] = int32_t(t * a.k);
      const Compute<T> sum = a.normalize ? chosen_sum(p, chosen, a.k) : Compute<T>(1);
      for (int64_t j = 0; j < a.k; ++j) {
        static_cast<T*>(a.weights)[slots[j]] = narrow<T>(widen(p[chosen[j]]) / sum);
        int64_t i = j;  // k is small
        for (; i > 0 && order[i - 1] > slots[j]; --i) order[i] = order[i - 1];
        order[i] = slots[j];
      }
    }
  });
}

//   w_j = p_j        dp_j = dw_j            w_j = p_j / s        dp_j = (dw_j - sum_i dw_i w_i) / s
template <class T>
void backward(const RouteBackward& a) {
  using C = Compute<T>;
  parallel_chunks(a.tokens, kTokens, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T* p = static_cast<const T*>(a.probabilities) + t * a.experts;
      const T* dw = static_cast<const T*>(a.dweights);
      T* dp = static_cast<T*>(a.dprobabilities) + t * a.experts;
      const int32_t *chosen = a.chosen + t * a.k, *slots = a.slots + t * a.k;
      const C sum = a.normalize ? chosen_sum(p, chosen, a.k) : C(1);
      C mean = 0;
      for (int64_t j = 0; a.normalize && j < a.k; ++j)
        mean += widen(dw[slots[j]]) * widen(p[chosen[j]]) / sum;
      if (!a.accumulate)
        for (int64_t e = 0; e < a.experts; ++e) dp[e] = narrow<T>(C(0));
      for (int64_t j = 0; j < a.k; ++j) {
        T& to = dp[chosen[j]];
        to = narrow<T>(widen(to) + (widen(dw[slots[j]]) - mean) / sum);
      }
    }
  });
}

}  // namespace

void choose_experts(const ChooseExperts& a) {
  visit_float(a.dtype, [&](auto t) { choose<decltype(t)>(a); });
}
void route_forward(const RouteForward& a) {
  visit_float(a.dtype, [&](auto t) { forward<decltype(t)>(a); });
}
void route_backward(const RouteBackward& a) {
  visit_float(a.dtype, [&](auto t) { backward<decltype(t)>(a); });
}

}  // namespace engine::cpu::ENGINE_ISA
