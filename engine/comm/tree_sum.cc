// Read first: tree_sum.h.
#include "engine/comm/tree_sum.h"

#include <algorithm>
#include <bit>

#include "engine/kernel/denormals.h"

namespace engine {
namespace {

constexpr int64_t kBlock = 1024;  // elements of each part that are added while they are in the cache

template <class C>
void add_block(C* sum, const C* values) {
  for (int64_t i = 0; i < kBlock; ++i) sum[i] += values[i];
}

template <class T, class To>
void sum_parts(const T* parts, int count, int64_t n, To* target) {
  using C = Compute<T>;
  std::vector<C> wide(size_t(count * kBlock), C(0));
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t m = std::min(kBlock, n - begin);
    for (int part = 0; part < count; ++part)
      for (int64_t i = 0; i < m; ++i) wide[size_t(part * kBlock + i)] = widen(parts[part * n + begin + i]);
    for (int half = int(std::bit_ceil(unsigned(count))) / 2; half > 0; half /= 2)
      for (int part = 0; part < half && part + half < count; ++part)
        add_block(&wide[size_t(part * kBlock)], &wide[size_t((part + half) * kBlock)]);
    for (int64_t i = 0; i < m; ++i) target[begin + i] = narrow<To>(wide[size_t(i)]);
  }
}

}  // namespace

void tree_sum(const char* parts, int count, int64_t n, DType dtype, char* target, DType target_dtype) {
  if (n == 0) return;
  const cpu::FlushDenormals flush;
  visit_float(dtype, [&](auto from) {
    visit_float(target_dtype, [&](auto to) {
      sum_parts(reinterpret_cast<const decltype(from)*>(parts), count, n,
                reinterpret_cast<decltype(to)*>(target));
    });
  });
}

TreeCounter::TreeCounter(int64_t k) {
  check(k >= 1, "tree: ", k, " micro-batches");
  const int64_t leaves = int64_t(std::bit_ceil(uint64_t(k)));
  const int bits = std::countr_zero(uint64_t(leaves));
  struct Held {
    bool there = false;
    int64_t turn = -1;  // whose result it is, if it is the newest
  };
  std::vector<Held> held(size_t(bits) + 1);
  for (int64_t position = 0; position < leaves; ++position) {
    int64_t batch = 0;
    for (int bit = 0; bit < bits; ++bit) batch |= ((position >> bit) & 1) << (bits - 1 - bit);
    // As in binary counting: position 0b0111 is added to what levels 0, 1 and 2 hold. Where a leaf is absent,
    // the newest sum moves up in its place.
    Held carry;
    if (batch < k) {
      carry = {true, int64_t(order_.size())};
      order_.push_back(batch);
      adds_.emplace_back();
      holds_.emplace_back();
    }
    int level = 0;
    for (; (position >> level) & 1; ++level) {
      Held& there = held[size_t(level)];
      if (!there.there) continue;
      if (carry.there)
        adds_[size_t(carry.turn)].push_back(level);
      else
        carry = there;
      there = {};
    }
    if (!carry.there) continue;
    held[size_t(level)] = carry;
    if (level < bits) holds_[size_t(carry.turn)] = level;
    else holds_[size_t(carry.turn)] = std::nullopt;
  }
  // A level counts only when a turn's result waits there for another turn.
  holds_.back() = std::nullopt;
  for (const auto& level : holds_)
    if (level) levels_ = std::max(levels_, *level + 1);
}

}  // namespace engine
