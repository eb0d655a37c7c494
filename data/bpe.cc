// Read first: bpe.h, piece_cache.h.
#include "data/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <queue>
#include <unordered_map>

#include "data/bpe_files.h"
#include "data/byte_alphabet.h"
#include "data/parallel.h"
#include "data/piece_cache.h"
#include "data/pretokenize.h"
#include "engine/base/check.h"

namespace data {

using engine::check;

constexpr size_t short_token = 16;  // bytes that decoding copies at once

std::vector<std::string> token_texts(const BpeModel& model) {
  std::vector<std::string> texts;
  for (const std::string& bytes : model.tokens) texts.push_back(bytes_to_alphabet(bytes));
  for (const SpecialToken& token : model.special) texts[token.id] = token.text;
  return texts;
}

void check_bpe(const BpeModel& model, const std::string& what) {
  const size_t size = model.tokens.size();
  std::vector<bool> is_special(size, false);
  for (const SpecialToken& token : model.special) {
    check(token.id < size, what, ": special token \"", token.text, "\" has id ", token.id,
          ", the vocabulary has ", size);
    check(!is_special[token.id], what, ": id ", token.id, " belongs to two special tokens");
    is_special[token.id] = true;
  }
  bool any_byte = false;
  for (size_t id = 0; id < size; ++id) {
    check(!model.tokens[id].empty(), what, ": token ", id, " is empty");
    any_byte |= model.tokens[id].size() == 1;
  }
  check(any_byte, what, ": no single byte is a token, so nothing could be encoded");

  const std::vector<std::string> texts = token_texts(model);
  std::unordered_map<std::string_view, size_t> first_use;
  for (size_t id = 0; id < size; ++id) {
    const auto [place, added] = first_use.emplace(texts[id], id);
    check(added, what, ": tokens ", place->second, " and ", id, " are both written \"", texts[id], "\"");
  }

  std::vector<std::pair<TokenId, TokenId>> pairs;
  for (size_t rank = 0; rank < model.merges.size(); ++rank) {
    const auto [left, right, result] = model.merges[rank];
    check(std::max({left, right, result}) < size, what, ": merge ", rank,
          " uses an id outside the vocabulary of ", size);
    const std::string &a = model.tokens[left], &b = model.tokens[right], &joined = model.tokens[result];
    check(joined.size() == a.size() + b.size() && joined.starts_with(a) && joined.ends_with(b), what,
          ": merge ", rank, " does not join its two tokens");
    pairs.emplace_back(left, right);
  }
  std::sort(pairs.begin(), pairs.end());
  const auto twice = std::adjacent_find(pairs.begin(), pairs.end());
  check(twice == pairs.end(), what, ": a pair of tokens appears twice in the merges");
}

MergeTable::MergeTable(const std::vector<BpeMerge>& merges)
    : slots_(std::bit_ceil(2 * merges.size() + 2)), mask_(slots_.size() - 1) {
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    size_t i = hash(merges[rank].left, merges[rank].right);
    while (slots_[i & mask_].left != no_token) ++i;
    slots_[i & mask_] = {merges[rank].left, merges[rank].right, uint32_t(rank), merges[rank].result};
  }
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
    uint32_t rank;
    size_t at;
    TokenId left, right;  // what stood there; a candidate whose tokens have changed is stale
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const size_t n = ids.size();
  std::vector<size_t> next(n), previous(n);  // a linked list of the tokens that remain; n and SIZE_MAX end it
  std::vector<Candidate> initial;
  for (size_t i = 0; i < n; ++i) {
    next[i] = i + 1, previous[i] = i - 1;
    if (i + 1 == n) break;
    const uint32_t rank = merges.find(ids[i], ids[i + 1]).rank;
    if (rank != no_token) initial.push_back({rank, i, ids[i], ids[i + 1]});
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue({}, std::move(initial));
  const auto offer = [&](size_t i) {
    const uint32_t rank = merges.find(ids[i], ids[next[i]]).rank;
    if (rank != no_token) queue.push({rank, i, ids[i], ids[next[i]]});
  };
  while (!queue.empty()) {
    const Candidate c = queue.top();
    queue.pop();
    const size_t right = ids[c.at] == c.left ? next[c.at] : n;
    if (right == n || ids[right] != c.right) continue;
    ids[c.at] = merges.find(c.left, c.right).result;
    ids[right] = no_token;
    next[c.at] = next[right];
    if (next[right] < n) previous[next[right]] = c.at;
    if (previous[c.at] < n) offer(previous[c.at]);
    if (next[c.at] < n) offer(c.at);
  }
  std::erase(ids, no_token);
}

BpeTokenizer::BpeTokenizer(BpeModel model, const std::string& what)
    : Tokenizer(model.special), model_((check_bpe(model, what), std::move(model))), merges_(model_.merges) {
  byte_ids_.fill(no_token);
  for (size_t id = 0; id < model_.tokens.size(); ++id) {
    if (model_.tokens[id].size() == 1) byte_ids_[uint8_t(model_.tokens[id][0])] = TokenId(id);
    token_starts_.push_back(uint32_t(token_bytes_.size()));
    token_bytes_ += model_.tokens[id];
  }
  check(token_bytes_.size() <= UINT32_MAX, what, ": the tokens have more than 4 GiB together");
  token_starts_.push_back(uint32_t(token_bytes_.size()));
  token_bytes_.append(short_token, '\0');
}

std::string BpeTokenizer::to_json() const { return bpe_to_hugging_face(model_); }

BpeTokenizer::~BpeTokenizer() = default;

void BpeTokenizer::merge_piece(const uint8_t* first, const uint8_t* last, std::vector<TokenId>& ids) const {
  constexpr ptrdiff_t short_piece = 64;
  ids.clear();
  for (const uint8_t* p = first; p < last; ++p) {
    check(byte_ids_[*p] != no_token, "encode: byte ", int(*p), " has no token in this vocabulary");
    ids.push_back(byte_ids_[*p]);
  }
  last - first <= short_piece ? apply_merges_short(merges_, ids) : apply_merges_long(merges_, ids);
}

void BpeTokenizer::encode_part(std::string_view text, std::vector<TokenId>& out) const {
  std::unique_ptr<PieceCache> cache;
  {
    const std::lock_guard lock(cache_mutex_);
    if (!idle_caches_.empty()) cache = std::move(idle_caches_.back()), idle_caches_.pop_back();
  }
  if (!cache) cache = std::make_unique<PieceCache>();
  const auto* end = reinterpret_cast<const uint8_t*>(text.data()) + text.size();
  std::vector<TokenId> ids;
  for_each_piece(text, [&](const uint8_t* first, const uint8_t* last) {
    const size_t bytes = size_t(last - first);
    if (bytes > PieceKey::longest) {
      merge_piece(first, last, ids);
      out.insert(out.end(), ids.begin(), ids.end());
      return;
    }
    const PieceKey key = PieceKey::of(first, bytes, size_t(end - first));
    if (cache->append(key, out)) return;
    merge_piece(first, last, ids);
    cache->insert(key, ids);
    out.insert(out.end(), ids.begin(), ids.end());
  });
  const std::lock_guard lock(cache_mutex_);
  idle_caches_.push_back(std::move(cache));
}

void BpeTokenizer::encode_ordinary(std::string_view text, int threads, std::vector<TokenId>& out) const {
  constexpr size_t part_bytes = size_t(1) << 18;
  out.reserve(out.size() + text.size() / 4);
  if (threads == 1 || text.size() <= part_bytes) return encode_part(text, out);
  const std::vector<std::string_view> parts = split_at_safe_places(text, part_bytes);
  std::vector<std::vector<TokenId>> ids(parts.size());
  parallel_pieces(parts.size(), threads, [&](size_t i) {
    ids[i].reserve(parts[i].size() / 3);
    encode_part(parts[i], ids[i]);
  });
  for (const auto& part : ids) out.insert(out.end(), part.begin(), part.end());
}

void BpeTokenizer::decode_ids(std::span<const TokenId> ids, std::string& out) const {
  size_t at = out.size(), bytes = 0;
  for (const TokenId id : ids) bytes += token_starts_[id + 1] - token_starts_[id];
  out.resize(at + bytes + short_token);
  for (const TokenId id : ids) {
    const char* token = token_bytes_.data() + token_starts_[id];
    const size_t length = token_starts_[id + 1] - token_starts_[id];
    // A copy of fixed size is two instructions; what it writes too much, the next token writes over.
    std::memcpy(out.data() + at, token, short_token);
    if (length > short_token) std::memcpy(out.data() + at, token, length);
    at += length;
  }
  out.resize(at);
}

}  // namespace data
