// Read first: pipeline_tokenizer.h, data/piece_cache.h.
#include "data/pipeline/pipeline_tokenizer.h"

#include <algorithm>
#include <cstring>

#include "data/byte_alphabet.h"
#include "data/parallel.h"
#include "data/piece_cache.h"
#include "data/pipeline/tokenizer_json.h"
#include "data/pretokenize.h"
#include "engine/base/check.h"

namespace data {

using engine::check;

constexpr size_t short_token = 16;  // bytes that decoding copies at once

namespace {

std::vector<AddedToken> special_ones(std::vector<AddedToken> tokens) {
  std::erase_if(tokens, [](const AddedToken& token) { return !token.special; });
  std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return tokens;
}

/// What files beside it say counts; then what the template puts in front of a text.
SpecialRoles roles_of(const Pipeline& pipeline) {
  SpecialRoles roles = pipeline.roles;
  const std::vector<TokenId> before = pipeline.post_processor.before();
  if (roles.begin == no_token && !before.empty()) roles.begin = before.front();
  return roles;
}

}  // namespace

class PipelineTokenizer::BorrowedCache {
 public:
  explicit BorrowedCache(const PipelineTokenizer& owner) : owner_(owner) {
    const std::lock_guard lock(owner_.cache_mutex_);
    if (owner_.idle_caches_.empty()) {
      cache_ = std::make_unique<PieceCache>();
    } else {
      cache_ = std::move(owner_.idle_caches_.back());
      owner_.idle_caches_.pop_back();
    }
  }
  ~BorrowedCache() {
    const std::lock_guard lock(owner_.cache_mutex_);
    owner_.idle_caches_.push_back(std::move(cache_));
  }
  PieceCache& operator*() { return *cache_; }

 private:
  const PipelineTokenizer& owner_;
  std::unique_ptr<PieceCache> cache_;
};

PipelineTokenizer::PipelineTokenizer(Pipeline pipeline, const std::string& what)
    : Tokenizer(special_ones(pipeline.added), roles_of(pipeline)),
      pipeline_(std::move(pipeline)),
      added_(pipeline_.added, pipeline_.normalizer.get()),
      texts_(pipeline_.model->vocabulary().texts()) {
  for (size_t i = 0; i < added_.all().size(); ++i) {
    const TokenId id = added_.all()[i].id;
    if (id >= texts_.size()) texts_.resize(id + 1);
    texts_[id] = added_.shown(i);
  }
  const TokenId largest = pipeline_.post_processor.largest_id();
  check(largest == no_token || largest < texts_.size(), what, ": post_processor adds token ", largest,
        ", which is outside the vocabulary of ", texts_.size());
  gpt2_ = pipeline_.pre_tokenizer && pipeline_.pre_tokenizer->is_gpt2();
  if (pipeline_.decoder && pipeline_.decoder->is_byte_level()) lay_out_bytes(what);
}

PipelineTokenizer::~PipelineTokenizer() = default;

std::string PipelineTokenizer::to_json() const { return pipeline_to_json(pipeline_, added_.all()); }

std::vector<TokenId> PipelineTokenizer::with_special_tokens(std::span<const TokenId> ids) const {
  return pipeline_.post_processor.around(ids);
}
std::vector<TokenId> PipelineTokenizer::with_special_tokens(std::span<const TokenId> a,
                                                            std::span<const TokenId> b) const {
  return pipeline_.post_processor.around(a, b);
}

void PipelineTokenizer::encode_ordinary(std::string_view text, int threads, std::vector<TokenId>& out) const {
  encode_text(text, SpecialText::ordinary, threads, out);
}
void PipelineTokenizer::encode_recognising(std::string_view text, int threads,
                                           std::vector<TokenId>& out) const {
  encode_text(text, SpecialText::recognised, threads, out);
}

void PipelineTokenizer::encode_text(std::string_view text, SpecialText special, int threads,
                                    std::vector<TokenId>& out) const {
  BorrowedCache cache(*this);
  const Run run = {special, threads, *cache, out};
  added_.cut(
      text, AddedTokens::Stage::as_it_is, special,
      [&](size_t begin, size_t end) { rewrite(text.substr(begin, end - begin), begin == 0, run); },
      [&](TokenId id) { out.push_back(id); });
}

void PipelineTokenizer::rewrite(std::string_view text, bool first, const Run& run) const {
  if (text.empty()) return;
  std::string rewritten;
  if (pipeline_.normalizer) {
    rewritten = text;
    if (pipeline_.normalizer->apply(rewritten)) first = false;
    text = rewritten;
  }
  added_.cut(
      text, AddedTokens::Stage::rewritten, run.special,
      [&](size_t begin, size_t end) { cut(text.substr(begin, end - begin), first && begin == 0, run); },
      [&](TokenId id) { run.out.push_back(id); });
}

void PipelineTokenizer::cut(std::string_view text, bool first, const Run& run) const {
  if (text.empty()) return;
  const auto encode = [&](const Piece& piece) {
    const auto* begin = reinterpret_cast<const uint8_t*>(piece.text.data());
    const auto* end = begin + piece.text.size();
    encode_piece(begin, end, end, run.cache, run.out);
  };
  if (!gpt2_)
    return pipeline_.pre_tokenizer ? pipeline_.pre_tokenizer->split({text, first}, encode) : encode({text});

  constexpr size_t part_bytes = size_t(1) << 18;
  if (run.threads == 1 || text.size() <= part_bytes) return cut_as_gpt2(text, run.cache, run.out);
  const std::vector<std::string_view> parts = split_at_safe_places(text, part_bytes);
  std::vector<std::vector<TokenId>> ids(parts.size());
  parallel_pieces(parts.size(), run.threads, [&](size_t i) {
    ids[i].reserve(parts[i].size() / 3);
    BorrowedCache cache(*this);
    cut_as_gpt2(parts[i], *cache, ids[i]);
  });
  for (const auto& part : ids) run.out.insert(run.out.end(), part.begin(), part.end());
}

void PipelineTokenizer::cut_as_gpt2(std::string_view text, PieceCache& cache,
                                    std::vector<TokenId>& out) const {
  const auto* end = reinterpret_cast<const uint8_t*>(text.data()) + text.size();
  for_each_piece(
      text, [&](const uint8_t* first, const uint8_t* last) { encode_piece(first, last, end, cache, out); });
}

/// `end`: up to where the bytes behind the piece may be read.
inline void PipelineTokenizer::encode_piece(const uint8_t* first, const uint8_t* last, const uint8_t* end,
                                            PieceCache& cache, std::vector<TokenId>& out) const {
  const size_t bytes = size_t(last - first);
  const std::string_view piece(reinterpret_cast<const char*>(first), bytes);
  if (bytes > PieceKey::longest) return pipeline_.model->encode(piece, out);
  const PieceKey key = PieceKey::of(first, bytes, size_t(end - first));
  if (cache.append(key, out)) return;
  const size_t before = out.size();
  pipeline_.model->encode(piece, out);
  cache.insert(key, std::span(out).subspan(before));
}

void PipelineTokenizer::lay_out_bytes(const std::string& what) {
  for (const std::string& text : texts_) {
    token_starts_.push_back(uint32_t(token_bytes_.size()));
    token_bytes_ += alphabet_to_bytes(text).value_or(text);
  }
  check(token_bytes_.size() <= UINT32_MAX, what, ": the tokens have more than 4 GiB together");
  token_starts_.push_back(uint32_t(token_bytes_.size()));
  token_bytes_.append(short_token, '\0');
}

void PipelineTokenizer::decode_ids(std::span<const TokenId> ids, std::string& out) const {
  if (!token_starts_.empty()) return decode_bytes(ids, out);
  std::vector<std::string> tokens;
  for (const TokenId id : ids)
    if (!texts_[id].empty()) tokens.push_back(texts_[id]);
  out += decode_tokens(pipeline_.decoder.get(), std::move(tokens));
}

void PipelineTokenizer::decode_bytes(std::span<const TokenId> ids, std::string& out) const {
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
