// Read first: routing_kernels.h. A thread per token: a token has few experts, and few of them are chosen.
#include "engine/cuda/vectors.h"
#include "engine/ops/routing_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 128;

GPU_INLINE int64_t thread_index() { return int64_t(blockIdx.x) * kThreads + threadIdx.x; }

template <class T>
GPU_INLINE Compute<T> element(const Global<const T>& x, int64_t i, Where where = Where::here()) {
  const T stored = x[GPU_AT(i, where)];
  return as_compute(stored);
}

template <class T>
__global__ void __launch_bounds__(kThreads, 1) choose_kernel(ChooseExperts a) {
  const int64_t t = thread_index();
  if (t >= a.tokens) return;
  const Global<const T> p = global(static_cast<const T*>(a.probabilities)) + t * a.experts;
  const auto chosen = global(a.chosen) + t * a.k;
  const auto taken = [&](int64_t n, int64_t e) {
    for (int64_t i = 0; i < n; ++i)
      if (int32_t(chosen[i]) == e) return true;
    return false;
  };
  for (int64_t j = 0; j < a.k; ++j) {
    int64_t best = -1;
    Compute<T> most = 0;
    for (int64_t e = 0; e < a.experts; ++e) {
      const Compute<T> v = element<T>(p, e);
      if ((best < 0 || v > most) && !taken(j, e)) best = e, most = v;
    }
    chosen[j] = int32_t(best);
  }
}

template <class T>
GPU_INLINE Compute<T> chosen_sum(const Global<const T>& p, const Global<const int32_t>& chosen, int64_t k,
                                 bool normalize) {
  if (!normalize) return 1;
  Compute<T> sum = 0;
  for (int64_t j = 0; j < k; ++j) sum += element<T>(p, int32_t(chosen[j]));
  return sum;
}

// A thread a slot: what the order by expert says of it, and of the experts.
template <class T>
__global__ void __launch_bounds__(kThreads, 1) slots_kernel(RouteForward a) {
  const int64_t slot = thread_index(), slots = a.tokens * a.k;
  if (slot == 0) global(a.starts)[a.tokens] = int32_t(slots);
  if (slot < a.experts) {
    const int32_t begin = global(a.offsets)[slot], end = global(a.offsets)[slot + 1];
    const double all = slots > 0 ? double(slots) : 1;  // of nothing, every share is 0
    global(static_cast<T*>(a.share))[slot] = as_stored<T>(Compute<T>(double(end - begin) / all));
  }
  if (slot >= slots) return;
  const int32_t choice = global(a.choices)[slot];
  global(a.rows)[slot] = int32_t(choice / a.k);
  global(a.slots)[choice] = int32_t(slot);
}

template <class T>
__global__ void __launch_bounds__(kThreads, 1) route_kernel(RouteForward a) {
  const int64_t t = thread_index();
  if (t >= a.tokens) return;
  global(a.starts)[t] = int32_t(t * a.k);
  const Global<const T> p = global(static_cast<const T*>(a.probabilities)) + t * a.experts;
  const Global<const int32_t> chosen = global(a.chosen) + t * a.k;
  const auto slots = global(a.slots) + t * a.k, order = global(a.order) + t * a.k;
  const auto weights = global(static_cast<T*>(a.weights));
  const Compute<T> sum = chosen_sum<T>(p, chosen, a.k, a.normalize);
  for (int64_t j = 0; j < a.k; ++j) {
    const int32_t slot = slots[j], expert = chosen[j];
    weights[slot] = as_stored<T>(element<T>(p, expert) / sum);
    int64_t i = j;  // k is small
    for (; i > 0; --i) {
      const int32_t before = order[i - 1];
      if (before < slot) break;
      order[i] = before;
    }
    order[i] = slot;
  }
}

//   w_j = p_j        dp_j = dw_j            w_j = p_j / s        dp_j = (dw_j - sum_i dw_i w_i) / s
template <class T>
__global__ void __launch_bounds__(kThreads, 1) route_back_kernel(RouteBackward a) {
  using C = Compute<T>;
  const int64_t t = thread_index();
  if (t >= a.tokens) return;
  const Global<const T> p = global(static_cast<const T*>(a.probabilities)) + t * a.experts;
  const Global<const T> dw = global(static_cast<const T*>(a.dweights));
  const Global<const int32_t> chosen = global(a.chosen) + t * a.k, slots = global(a.slots) + t * a.k;
  const auto dp = global(static_cast<T*>(a.dprobabilities)) + t * a.experts;
  const C sum = chosen_sum<T>(p, chosen, a.k, a.normalize);
  C mean = 0;
  for (int64_t j = 0; a.normalize && j < a.k; ++j)
    mean += element<T>(dw, int32_t(slots[j])) * element<T>(p, int32_t(chosen[j])) / sum;
  if (!a.accumulate)
    for (int64_t e = 0; e < a.experts; ++e) dp[e] = as_stored<T>(C(0));
  for (int64_t j = 0; j < a.k; ++j) {
    const int32_t expert = chosen[j];
    const C change[1] = {(element<T>(dw, int32_t(slots[j])) - mean) / sum};
    store_n(dp + expert, change, true);
  }
}

template <class Args, class F>
void for_tokens(const Args& a, F&& kernel_of) {
  if (a.tokens == 0) return;
  visit_float(a.dtype, [&](auto t) {
    launch<NoShared>(kernel_of(t), blocks_for(a.tokens, kThreads), kThreads, current_stream(), a);
  });
}

}  // namespace

void choose_experts(const ChooseExperts& a) {
  for_tokens(a, [](auto t) { return choose_kernel<decltype(t)>; });
}
void route_forward(const RouteForward& a) {
  visit_float(a.dtype, [&](auto t) {
    const int64_t slots = a.tokens * a.k, threads = slots > a.experts ? slots : a.experts;
    if (threads > 0)
      launch<NoShared>(slots_kernel<decltype(t)>, blocks_for(threads, kThreads), kThreads, current_stream(), a);
  });
  for_tokens(a, [](auto t) { return route_kernel<decltype(t)>; });
}
void route_backward(const RouteBackward& a) {
  for_tokens(a, [](auto t) { return route_back_kernel<decltype(t)>; });
}

}  // namespace engine::ENGINE_GPU
