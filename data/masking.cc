// Read first: masking.h.
#include "data/masking.h"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "data/batches.h"
#include "data/shuffle.h"
#include "engine/base/check.h"

namespace data {
namespace {

/// `count` of `items`, without replacement, every subset equally likely (the head of a Fisher-Yates shuffle).
void draw_subset(std::vector<int32_t>& items, size_t count, engine::Rng& rng) {
  for (size_t i = 0; i < count; ++i) std::swap(items[i], items[i + rng.below(items.size() - i)]);
  items.resize(count);
}

/// Uniform over the ids that are not in `rule.not_random`, which is sorted.
int32_t random_id(const MaskRule& rule, engine::Rng& rng) {
  int32_t id = int32_t(rng.below(uint64_t(rule.vocabulary) - rule.not_random.size()));
  for (const int32_t excluded : rule.not_random) id += id >= excluded;
  return id;
}

bool has(WordEdge edge, WordEdge part) { return (uint8_t(edge) & uint8_t(part)) != 0; }

/// Where each word begins; tokens before the first beginning form a word of their own.
std::vector<int32_t> word_beginnings(const MaskRule& rule, std::span<const int32_t> ids) {
  std::vector<int32_t> out;
  bool begins = true;
  for (size_t i = 0; i < ids.size(); ++i) {
    const WordEdge edge = rule.words.empty() ? WordEdge::both : rule.words[size_t(ids[i])];
    if (begins || has(edge, WordEdge::before)) out.push_back(int32_t(i));
    begins = has(edge, WordEdge::behind);
  }
  return out;
}

bool is_share(double p) { return p >= 0 && p <= 1; }

}  // namespace

MaskRule checked(MaskRule rule) {
  using engine::check;
  check(is_share(rule.select) && rule.select > 0, "masking: select must be in (0, 1], got ", rule.select);
  check(is_share(rule.keep) && is_share(rule.random) && rule.keep + rule.random <= 1,
        "masking: keep and random must be shares that add up to at most 1, got ", rule.keep, " and ",
        rule.random);
  check(rule.mask >= 0 && rule.mask < rule.vocabulary, "masking: mask id ", rule.mask,
        " is outside the vocabulary of ", rule.vocabulary);
  check(rule.words.empty() || int64_t(rule.words.size()) == rule.vocabulary, "masking: words has ",
        rule.words.size(), " entries for a vocabulary of ", rule.vocabulary);
  auto& excluded = rule.not_random;
  std::sort(excluded.begin(), excluded.end());
  excluded.erase(std::unique(excluded.begin(), excluded.end()), excluded.end());
  check(excluded.empty() || (excluded.front() >= 0 && excluded.back() < rule.vocabulary),
        "masking: special ids ", excluded.empty() ? 0 : excluded.front(), " to ",
        excluded.empty() ? 0 : excluded.back(), " are not all inside the vocabulary of ", rule.vocabulary);
  check(int64_t(excluded.size()) < rule.vocabulary, "masking: every id of the vocabulary is special");
  return rule;
}

void mask_tokens(const MaskRule& rule, uint64_t seed, int64_t epoch, int64_t index, std::span<int32_t> ids,
                 std::span<int32_t> labels) {
  assert(ids.size() == labels.size());
  engine::Rng rng = item_rng(seed, Draw::mask, epoch, index);
  std::fill(labels.begin(), labels.end(), kNotScored);

  const std::vector<int32_t> begins = word_beginnings(rule, ids);
  // The fraction is rounded up or down at random, so that it is exact on average.
  const size_t count = std::min(begins.size(), size_t(rule.select * double(begins.size()) + rng.uniform()));
  std::vector<int32_t> words(begins.size());
  std::iota(words.begin(), words.end(), 0);
  draw_subset(words, count, rng);

  for (const int32_t word : words) {
    const size_t first = size_t(begins[size_t(word)]);
    const size_t last = size_t(word) + 1 < begins.size() ? size_t(begins[size_t(word) + 1]) : ids.size();
    const double fate = rng.uniform();
    for (size_t i = first; i < last; ++i) {
      labels[i] = ids[i];
      if (fate < rule.keep) continue;
      ids[i] = fate < rule.keep + rule.random ? random_id(rule, rng) : rule.mask;
    }
  }
}

}  // namespace data
