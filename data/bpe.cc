// Read first: bpe.h.
#include "data/bpe.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <unordered_map>

#include "data/byte_alphabet.h"
#include "engine/base/check.h"

namespace data {

using engine::check;

std::vector<std::string> token_texts(const BpeModel& model) {
  std::vector<std::string> texts;
  for (const std::string& bytes : model.tokens) texts.push_back(bytes_to_alphabet(bytes));
  for (const AddedToken& token : model.special) texts[token.id] = token.text;
  return texts;
}

void check_bpe(const BpeModel& model, const std::string& what) {
  const size_t size = model.tokens.size();
  std::vector<bool> is_special(size, false);
  for (const AddedToken& token : model.special) {
    check(token.id < size, what, ": special token \"", token.text, "\" has id ", token.id,
          ", the vocabulary has ", size);
    check(!is_special[token.id], what, ": id ", token.id, " belongs to two special tokens");
    is_special[token.id] = true;
  }
  const std::vector<std::string> texts = token_texts(model);
  std::unordered_map<std::string_view, size_t> first_use;
  for (size_t id = 0; id < size; ++id) {
    if (texts[id].empty()) continue;
    const auto [place, added] = first_use.emplace(texts[id], id);
    check(added, what, ": tokens ", place->second, " and ", id, " are both written \"", texts[id], "\"");
  }
  for (size_t rank = 0; rank < model.merges.size(); ++rank) {
    const auto [left, right, result] = model.merges[rank];
    check(std::max({left, right, result}) < size, what, ": merge ", rank,
          " uses an id outside the vocabulary of ", size);
    const std::string &a = model.tokens[left], &b = model.tokens[right], &joined = model.tokens[result];
    check(joined.size() == a.size() + b.size() && joined.starts_with(a) && joined.ends_with(b), what,
          ": merge ", rank, " does not join its two tokens");
  }
}

MergeTable::MergeTable(const std::vector<BpeMerge>& merges)
    : slots_(std::bit_ceil(2 * merges.size() + 2)), mask_(slots_.size() - 1) {
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto [left, right, result] = merges[rank];
    size_t i = hash(left, right);
    const auto other = [left = left, right = right](const Entry& e) {
      return e.left != no_token && (e.left != left || e.right != right);
    };
    while (other(slots_[i & mask_])) ++i;
    slots_[i & mask_] = {left, right, uint32_t(rank), result};
  }
}

MergeBorders::MergeBorders(const std::vector<BpeMerge>& merges,
                           const std::function<bool(TokenId)>& is_symbol) {
  // The first and last symbol of each token. Merges usually stand behind those that make their parts; where
  // they do not, another round settles it. A token with two first symbols, or that is a symbol itself, ends
  // the search.
  TokenId size = 0;
  for (const BpeMerge& merge : merges)
    size = std::max({size, merge.left + 1, merge.right + 1, merge.result + 1});
  std::vector<TokenId> first(size), last(size);
  std::iota(first.begin(), first.end(), 0), std::iota(last.begin(), last.end(), 0);
  const auto settle = [&](std::vector<TokenId>& ends, TokenId token, TokenId end) {
    if (ends[token] == end) return false;
    anywhere_ = anywhere_ || ends[token] != token;
    ends[token] = end;
    return true;
  };
  constexpr int most_rounds = 64;
  for (int round = 0;; ++round) {
    bool changed = false;
    for (const auto& [left, right, result] : merges) {
      changed = settle(first, result, first[left]) || changed;
      changed = settle(last, result, last[right]) || changed;
      anywhere_ = anywhere_ || is_symbol(result) || round == most_rounds;
      if (anywhere_) return;
    }
    if (!changed) break;
  }
  for (const auto& [left, right, result] : merges) pairs_.insert(uint64_t(last[left]) << 32 | first[right]);
}

void apply_merges_short(const MergeTable& merges, std::vector<TokenId>& ids) {
  thread_local std::vector<MergeTable::Entry> found;  // found[i]: the merge of ids[i] and ids[i+1]
  found.clear();
  for (size_t i = 0; i + 1 < ids.size(); ++i) found.push_back(merges.find(ids[i], ids[i + 1]));
  while (!found.empty()) {
    size_t best = 0;
    for (size_t i = 1; i < found.size(); ++i) best = found[i].rank < found[best].rank ? i : best;
    if (found[best].rank == no_token) return;
    ids[best] = found[best].result;
    ids.erase(ids.begin() + ptrdiff_t(best) + 1);
    found.erase(found.begin() + ptrdiff_t(best));
    if (best > 0) found[best - 1] = merges.find(ids[best - 1], ids[best]);
    if (best < found.size()) found[best] = merges.find(ids[best], ids[best + 1]);
  }
}

void apply_merges_long(const MergeTable& merges, std::vector<TokenId>& ids) {
  struct Candidate {
    uint32_t rank, at;  // stale when the tokens at `at` have another rank by now
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  check(ids.size() < no_token, "encode: a piece of ", ids.size(), " symbols is too long");
  const uint32_t n = uint32_t(ids.size()), none = no_token;
  std::vector<uint32_t> next(n), previous(n);  // a linked list of the tokens that remain; n and none end it
  const auto rank_at = [&](uint32_t at) {
    return ids[at] == none || next[at] == n ? none : merges.find(ids[at], ids[next[at]]).rank;
  };
  // A heap with room for a quarter more than there can be candidates that are not stale: when it is full, the
  // stale ones go, so its size stays bounded and a candidate costs no more.
  std::vector<Candidate> heap;
  heap.reserve(n + n / 4 + 16);
  const auto later = std::greater<Candidate>();
  for (uint32_t i = 0; i < n; ++i) next[i] = i + 1, previous[i] = i == 0 ? none : i - 1;
  for (uint32_t i = 0; i < n; ++i)
    if (const uint32_t rank = rank_at(i); rank != none) heap.push_back({rank, i});
  std::make_heap(heap.begin(), heap.end(), later);
  const auto offer = [&](uint32_t at) {
    const uint32_t rank = rank_at(at);
    if (rank == none) return;
    if (heap.size() == heap.capacity()) {
      heap.clear();
      for (uint32_t i = 0; i < n; i = next[i])
        if (const uint32_t known = rank_at(i); known != none) heap.push_back({known, i});
      std::make_heap(heap.begin(), heap.end(), later);
      return;  // `at` is among them
    }
    heap.push_back({rank, at});
    std::push_heap(heap.begin(), heap.end(), later);
  };
  while (!heap.empty()) {
    const Candidate c = heap.front();
    std::pop_heap(heap.begin(), heap.end(), later);
    heap.pop_back();
    if (rank_at(c.at) != c.rank) continue;
    const uint32_t right = next[c.at];
    ids[c.at] = merges.find(ids[c.at], ids[right]).result;
    ids[right] = none;
    next[c.at] = next[right];
    if (next[right] < n) previous[next[right]] = c.at;
    if (previous[c.at] != none) offer(previous[c.at]);
    offer(c.at);
  }
  std::erase(ids, none);
}

void apply_merges(const MergeTable& merges, const MergeBorders& borders, std::vector<TokenId>& ids) {
  constexpr size_t most_for_scanning = 64;
  if (ids.size() <= most_for_scanning) return apply_merges_short(merges, ids);
  std::vector<TokenId> part;
  size_t written = 0;
  for (size_t begin = 0; begin < ids.size();) {
    size_t end = begin + 1;
    while (end < ids.size() && borders.joined(ids[end - 1], ids[end])) ++end;
    part.assign(ids.begin() + ptrdiff_t(begin), ids.begin() + ptrdiff_t(end));
    part.size() <= most_for_scanning ? apply_merges_short(merges, part) : apply_merges_long(merges, part);
    // What is written takes no more room than what was read.
    std::copy(part.begin(), part.end(), ids.begin() + ptrdiff_t(written));
    written += part.size(), begin = end;
  }
  ids.resize(written);
}

}  // namespace data
