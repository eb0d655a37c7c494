// Read first: log_likelihood.h.
#include "train/evaluation/log_likelihood.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "engine/cpu/parallel.h"
#include "engine/ops/routing.h"

namespace train {
namespace {

using engine::check;
using engine::Tensor;
using Row = std::span<const int32_t>;

// A family, or a part of one, as the model reads it: rows cut to the context, without their last id.
struct Family {
  size_t index = 0;             // among the caller's families
  std::vector<size_t> members;  // of that family
  std::vector<Row> ids;         // all but the last are read
  std::vector<int64_t> scored;
  int64_t shared = 0;  // ids that every row begins with, and that are read
};

int64_t common_prefix(Row a, Row b) {
  const size_t most = std::min(a.size(), b.size());
  size_t n = 0;
  while (n < most && a[n] == b[n]) ++n;
  return int64_t(n);
}

void find_shared(Family& family) {
  family.shared = int64_t(family.ids[0].size()) - 1;
  for (const Row row : family.ids)
    family.shared = std::min({family.shared, int64_t(row.size()) - 1, common_prefix(row, family.ids[0])});
}

Family cut(size_t index, const ScoreFamily& family, const ScoreOptions& options) {
  Family out{.index = index};
  check(!family.empty(), "scoring: a family without members");
  for (const ScoreRequest& r : family) {
    const int64_t n = int64_t(r.ids.size());
    check(r.scored >= 1 && r.scored < n, "scoring: ", r.scored, " scored tokens of ", n,
          "; at least one must be scored and one precede it");
    check(r.scored <= options.context, "scoring: a continuation of ", r.scored,
          " tokens does not fit in a context of ", options.context);
    for (const int32_t id : r.ids)
      check(id >= 0 && id < options.vocabulary, "scoring: token ", id, " is outside the vocabulary of ",
            options.vocabulary);
    out.members.push_back(out.members.size());
    out.ids.push_back(Row(r.ids).last(size_t(std::min(n, options.context + 1))));
    out.scored.push_back(r.scored);
  }
  find_shared(out);
  return out;
}

// Where rows of more than `limit` tokens have other angles (longrope), keys of a shared part serve rows on
// its own side only: so members are parted by side, and long ones whose shared part is short read all alone.
// limit 0: the family as it is.
std::vector<Family> parts_of(const Family& family, int64_t limit) {
  if (limit == 0) return {family};
  Family sides[2];
  const auto add = [](Family& to, const Family& from, size_t m) {
    to.index = from.index;
    to.members.push_back(from.members[m]);
    to.ids.push_back(from.ids[m]);
    to.scored.push_back(from.scored[m]);
  };
  for (size_t m = 0; m < family.ids.size(); ++m)
    add(sides[int64_t(family.ids[m].size()) - 1 > limit], family, m);
  std::vector<Family> out;
  for (Family& side : sides) {
    if (side.ids.empty()) continue;
    find_shared(side);
    if (&side == &sides[0] || side.shared > limit) {
      out.push_back(std::move(side));
      continue;
    }
    for (size_t m = 0; m < side.ids.size(); ++m) {
      add(out.emplace_back(), side, m);
      find_shared(out.back());
    }
  }
  return out;
}

// A position whose logits predict a scored id.
struct Scored {
  int64_t row = 0;  // of the hidden states, [rows, d]
  int32_t id = 0;
  LogLikelihood* into = nullptr;
};

// Adds log p of each scored id. Rows go through the head some at a time, so that logits stay small.
void add_scores(const models::Transformer& model, const Tensor& hidden, const std::vector<Scored>& scored,
                int64_t vocabulary) {
  const int64_t columns = model.config().vocab_size,
                at_once = std::max<int64_t>(1, (int64_t(1) << 23) / columns);
  const Tensor rows = hidden.reshape({hidden.size(0) * hidden.size(1), hidden.size(2)});
  for (size_t begin = 0; begin < scored.size(); begin += size_t(at_once)) {
    const size_t n = std::min(scored.size() - begin, size_t(at_once));
    std::vector<int32_t> picked(n);
    for (size_t i = 0; i < n; ++i) picked[i] = int32_t(scored[begin + i].row);
    const Tensor here = Tensor::from_ids(picked, {int64_t(n)}).to(rows.device());
    const Tensor logits = model.logits(engine::gather_rows(rows, here)).to(engine::Device::cpu);
    std::vector<double> log_p(n);
    std::vector<char> best(n);
    engine::visit_float(logits.dtype(), [&](auto type) {
      const auto* all = logits.data<decltype(type)>();
      engine::cpu::parallel_for(int64_t(n), [&](int64_t i) {
        const auto* z = all + i * columns;
        int64_t top = 0;
        for (int64_t v = 1; v < vocabulary; ++v)
          if (engine::widen(z[v]) > engine::widen(z[top])) top = v;
        const double most = double(engine::widen(z[top]));
        double sum = 0;
        for (int64_t v = 0; v < vocabulary; ++v) sum += std::exp(double(engine::widen(z[v])) - most);
        const int32_t id = scored[begin + size_t(i)].id;
        log_p[size_t(i)] = double(engine::widen(z[id])) - most - std::log(sum);
        best[size_t(i)] = id == top && !std::isnan(sum);
      });
    });
    for (size_t i = 0; i < n; ++i) {
      LogLikelihood& into = *scored[begin + i].into;
      into.sum += log_p[i];
      into.greedy = into.greedy && best[i];
    }
  }
}

class Scorer {
 public:
  Scorer(const models::Transformer& model, const ScoreOptions& options) : model_(model), options_(options) {}

  /// Families of about one length: what they share in one pass, then what is left of each. Adds to `out`.
  void score(std::span<const Family> families, std::vector<std::vector<LogLikelihood>>& out) const {
    const bool rests =
        std::any_of(families.begin(), families.end(), [](const Family& f) { return has_rest(f); });
    int64_t length = 0;
    for (const Family& f : families) length = std::max(length, f.shared);
    std::vector<nn::KvCache> cache;
    if (rests) cache = model_.make_cache(int64_t(families.size()), length);
    std::vector<int32_t> ids(families.size() * size_t(length), 0);  // padding on the right is seen by nobody
    std::vector<Scored> scored;
    for (size_t b = 0; b < families.size(); ++b) {
      const Family& f = families[b];
      std::copy_n(f.ids[0].begin(), f.shared, ids.begin() + ptrdiff_t(b) * length);
      for (size_t m = 0; m < f.ids.size(); ++m)
        for (int64_t t = first_scored(f, m); t <= f.shared && t < int64_t(f.ids[m].size()); ++t)
          scored.push_back({int64_t(b) * length + t - 1, f.ids[m][size_t(t)], &out[f.index][f.members[m]]});
    }
    if (length > 0) {  // else no two rows begin alike
      const Tensor tokens = Tensor::from_ids(ids, {int64_t(families.size()), length});
      add_scores(model_, read(tokens, rests ? &cache : nullptr), scored, options_.vocabulary);
    }

    // The rests behind shared parts of one length are read together.
    for (size_t begin = 0, end; rests && begin < families.size(); begin = end) {
      end = begin;
      std::vector<Rest> group;
      for (; end < families.size() && families[end].shared == families[begin].shared; ++end)
        for (size_t m = 0; m < families[end].ids.size(); ++m)
          if (int64_t(families[end].ids[m].size()) - 1 > families[end].shared)
            group.push_back(
                {&families[end], m, int64_t(end), &out[families[end].index][families[end].members[m]]});
      std::stable_sort(group.begin(), group.end(),
                       [](const Rest& a, const Rest& b) { return a.length() < b.length(); });
      for (size_t at = 0; at < group.size(); at += size_t(options_.batch))
        score_rests(std::span(group).subspan(at, std::min(group.size() - at, size_t(options_.batch))), cache);
    }
  }

 private:
  // What a member has behind its family's shared part.
  struct Rest {
    const Family* family;
    size_t member;
    int64_t cache_row;
    LogLikelihood* into;
    Row ids() const { return family->ids[member]; }
    int64_t length() const { return int64_t(ids().size()) - 1 - family->shared; }
  };

  static bool has_rest(const Family& f) {
    return std::any_of(f.ids.begin(), f.ids.end(), [&](Row r) { return int64_t(r.size()) - 1 > f.shared; });
  }
  static int64_t first_scored(const Family& f, size_t m) { return int64_t(f.ids[m].size()) - f.scored[m]; }

  void score_rests(std::span<const Rest> rests, const std::vector<nn::KvCache>& shared_cache) const {
    const int64_t shared = rests[0].family->shared, length = rests.back().length();
    std::vector<nn::KvCache> cache = model_.make_cache(int64_t(rests.size()), shared + length);
    for (size_t l = 0; l < cache.size(); ++l) {
      for (size_t r = 0; r < rests.size(); ++r) {
        const auto copy = [&](const Tensor& from, const Tensor& to) {
          const int64_t row = rests[r].cache_row;
          to.slice(0, int64_t(r), int64_t(r) + 1)
              .slice(1, 0, shared)
              .copy_from(from.slice(0, row, row + 1).slice(1, 0, shared));
        };
        copy(shared_cache[l].keys, cache[l].keys);
        copy(shared_cache[l].values, cache[l].values);
      }
      cache[l].length = shared;
    }
    std::vector<int32_t> ids(rests.size() * size_t(length), 0);
    std::vector<Scored> scored;
    for (size_t r = 0; r < rests.size(); ++r) {
      const Row all = rests[r].ids();
      std::copy_n(all.begin() + shared, rests[r].length(), ids.begin() + ptrdiff_t(r) * length);
      const int64_t first = std::max(first_scored(*rests[r].family, rests[r].member), shared + 1);
      for (int64_t t = first; t < int64_t(all.size()); ++t)
        scored.push_back({int64_t(r) * length + t - 1 - shared, all[size_t(t)], rests[r].into});
    }
    const Tensor tokens = Tensor::from_ids(ids, {int64_t(rests.size()), length});
    add_scores(model_, read(tokens, &cache), scored, options_.vocabulary);
  }

  Tensor read(const Tensor& ids, std::vector<nn::KvCache>* cache) const {
    nn::Context context = model_.context();
    context.cache = cache;
    return model_.hidden({.ids = ids}, context, context.precision.compute);
  }

  const models::Transformer& model_;
  const ScoreOptions& options_;
};

}  // namespace

std::vector<std::vector<LogLikelihood>> log_likelihoods(const models::Transformer& model,
                                                        const std::vector<ScoreFamily>& families,
                                                        const ScoreOptions& options) {
  check(model.config().causal(), "scoring: only a causal model gives continuations a likelihood");
  check(options.context >= 1 && options.batch >= 1, "scoring: a context of ", options.context,
        " in batches of ", options.batch);
  const engine::TapeScope off(nullptr);
  const int64_t limit = models::long_rows_from(model.config());
  std::vector<Family> all;
  std::vector<std::vector<LogLikelihood>> out(families.size());
  std::vector<size_t> left(families.size());  // parts that are not scored yet
  for (size_t i = 0; i < families.size(); ++i) {
    std::vector<Family> parts = parts_of(cut(i, families[i], options), limit);
    out[i].assign(families[i].size(), {.greedy = true});
    left[i] = parts.size();
    std::move(parts.begin(), parts.end(), std::back_inserter(all));
  }
  // The longest come first: what does not fit in memory fails at once, and the estimate of the time left
  // falls.
  std::stable_sort(all.begin(), all.end(),
                   [](const Family& a, const Family& b) { return a.shared > b.shared; });
  const auto is_long = [&](const Family& f) { return limit > 0 && f.shared > limit; };
  const Scorer scorer(model, options);
  for (size_t at = 0, n; at < all.size(); at += n) {
    n = 1;
    while (n < size_t(options.batch) && at + n < all.size() && is_long(all[at + n]) == is_long(all[at])) ++n;
    const auto batch = std::span<const Family>(all).subspan(at, n);
    scorer.score(batch, out);
    std::vector<size_t> done;
    for (const Family& f : batch)
      if (--left[f.index] == 0) done.push_back(f.index);
    if (options.on_scored && !options.on_scored(done)) break;
  }
  for (size_t i = 0; i < families.size(); ++i)
    if (left[i] > 0) out[i].clear();
  return out;
}

}  // namespace train
