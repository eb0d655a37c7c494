// Read first: perplexity.h.
#include "train/perplexity.h"

#include <algorithm>
#include <cmath>

#include "data/batches.h"
#include "train/run_data.h"

namespace train {

using engine::check;

namespace {

// Inputs [begin, begin + length) of the stream; the last `scored` of them predict a token that is scored.
struct Window {
  int64_t begin = 0, length = 0, scored = 0;
};

std::vector<Window> cut(int64_t tokens, const Windows& w) {
  std::vector<Window> out;
  for (int64_t next = 1; next < tokens;) {  // the first token that is not scored yet
    const int64_t end = std::min(tokens, next + (next == 1 ? w.context : w.stride));
    const int64_t begin = std::max<int64_t>(0, end - 1 - w.context);
    // Blocks do not overlap: the last, short one sees its own tokens only.
    const int64_t first = w.stride == w.context ? next - 1 : begin;
    out.push_back({first, end - 1 - first, end - next});
    next = end;
  }
  return out;
}

constexpr int64_t kChunk = int64_t(1) << 20;

// Calls f(ids) for consecutive pieces of the stream.
template <class F>
void for_each_chunk(const data::TokenStream& tokens, F&& f) {
  std::vector<int32_t> ids;
  for (int64_t at = 0; at < tokens.size(); at += kChunk) {
    ids.resize(size_t(std::min(kChunk, tokens.size() - at)));
    tokens.read(at, int64_t(ids.size()), ids.data());
    f(ids);
  }
}

std::vector<bool> special_ids(const data::Tokenizer* tokenizer, int64_t vocabulary) {
  std::vector<bool> special(size_t(vocabulary), false);
  if (tokenizer == nullptr) return special;
  for (const data::AddedToken& token : tokenizer->special_tokens())
    if (int64_t(token.id) < vocabulary) special[token.id] = true;
  return special;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

LossSum causal_loss(const models::Transformer& model, const data::TokenStream& tokens, const Windows& windows,
                    int64_t vocabulary, const std::function<void(int64_t)>& progress) {
  check(model.config().causal(), "windows are for causal models");
  check(windows.context >= 1 && windows.stride >= 1 && windows.stride <= windows.context, "stride ",
        windows.stride, " must be from 1 to the context of ", windows.context);
  check(tokens.size() >= 2, tokens.size(), " tokens; two are needed to score one");
  const engine::TapeScope off(nullptr);
  const std::vector<Window> all = cut(tokens.size(), windows);
  LossSum sum;
  for (size_t at = 0, rows; at < all.size(); at += rows) {
    // Windows of one length: angles may depend on that of a row (longrope), so none is padded.
    const int64_t length = all[at].length;
    rows = 1;
    while (rows < size_t(windows.batch) && at + rows < all.size() && all[at + rows].length == length) ++rows;
    data::Batch batch{.rows = int64_t(rows), .length = length};
    batch.ids.resize(rows * size_t(length));
    batch.labels.assign(rows * size_t(length), data::kNotScored);
    std::vector<int32_t> ids(size_t(length) + 1);
    for (size_t r = 0; r < rows; ++r) {
      const Window& w = all[at + r];
      tokens.read(w.begin, length + 1, ids.data());
      const size_t row = r * size_t(length);
      std::copy(ids.begin(), ids.end() - 1, batch.ids.begin() + ptrdiff_t(row));
      for (int64_t t = length - w.scored; t < length; ++t) batch.labels[row + size_t(t)] = ids[size_t(t) + 1];
      sum.scored += w.scored;
    }
    const nn::Context context = model.context();
    const engine::Tensor hidden = model.hidden(to_tokens(batch), context, context.precision.compute);
    sum.nats += model.loss(hidden, to_labels(batch), {.vocabulary = vocabulary}).item();
    if (progress) progress(sum.scored);
  }
  return sum;
}

double unigram_entropy(const data::TokenStream& tokens, const data::Tokenizer* tokenizer) {
  std::vector<int64_t> counts(size_t(tokens.vocabulary()), 0);
  for_each_chunk(tokens, [&](const std::vector<int32_t>& ids) {
    for (const int32_t id : ids) ++counts[size_t(id)];
  });
  const std::vector<bool> special = special_ids(tokenizer, tokens.vocabulary());
  double total = 0, sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (special[i] || counts[i] == 0) continue;
    total += double(counts[i]);
    sum += double(counts[i]) * std::log(double(counts[i]));
  }
  return total > 0 ? std::log(total) - sum / total : 0;
}

TextSize text_size(std::string_view text) {
  TextSize size{.bytes = int64_t(text.size())};
  bool in_word = false;
  for (const char c : text) {
    if (!is_space(c) && !in_word) ++size.words;
    in_word = !is_space(c);
  }
  return size;
}

TextSize text_size(const data::TokenStream& tokens, const data::Tokenizer& tokenizer) {
  const bool words = tokenizer.kind() == data::TokenizerKind::word;  // its special <eos> is a line end
  const std::vector<bool> special = special_ids(words ? nullptr : &tokenizer, tokens.vocabulary());
  TextSize size;
  bool in_word = false;
  for_each_chunk(tokens, [&](const std::vector<int32_t>& ids) {
    std::vector<data::TokenId> ordinary;
    for (const int32_t id : ids)
      if (!special[size_t(id)]) ordinary.push_back(data::TokenId(id));
    const std::string text = tokenizer.decode(ordinary);
    const TextSize piece = text_size(text);
    size.bytes += piece.bytes;
    // A word that goes on from the last chunk was counted there.
    size.words += piece.words - (in_word && !text.empty() && !is_space(text.front()) ? 1 : 0);
    if (!text.empty()) in_word = !is_space(text.back()) && !words;
  });
  return size;
}

}  // namespace train
