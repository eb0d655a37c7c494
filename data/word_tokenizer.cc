// Read first: word_tokenizer.h.
#include "data/word_tokenizer.h"

#include <algorithm>

#include "data/special_json.h"
#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {

using engine::check;

namespace {

constexpr TokenId unknown_id = 0, end_of_line_id = 1;

/// Calls word(text) for each word and line_end() after each line; the last line ends even without a newline.
template <class Word, class LineEnd>
void for_each_word(std::string_view text, const Word& word, const LineEnd& line_end) {
  const CharClass* table = char_class_table();
  const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = begin + text.size();
  const uint8_t* first = begin;  // of the word being read
  const auto finish = [&](const uint8_t* last) {
    if (last > first) word(std::string_view(reinterpret_cast<const char*>(first), size_t(last - first)));
  };
  for (const uint8_t* p = begin; p < end;) {
    const Char c = decode_char(p, end);
    if (class_of(table, c) == CharClass::space) {
      finish(p);
      first = p + c.bytes;
      if (c.code == '\n') line_end();
    }
    p += c.bytes;
  }
  finish(end);
  if (!text.empty() && text.back() != '\n') line_end();
}

/// How often each word stands in texts.
class WordCounter final : public TextCounter {
 public:
  void count(std::span<const std::string_view> texts) override {
    const auto add = [&](std::string_view word) {
      const auto found = counts_.find(word);
      if (found != counts_.end())
        ++found->second;
      else
        counts_.emplace(word, 1);
    };
    for (const std::string_view text : texts) for_each_word(text, add, [] {});
  }

  std::unique_ptr<Tokenizer> learn(const TrainOptions& options) override {
    std::vector<AddedToken> special = {{"<unk>", unknown_id}, {"<eos>", end_of_line_id}};
    for (const std::string& text : options.special) {
      if (text != "<unk>" && text != "<eos>") special.push_back({text, TokenId(special.size())});
    }
    check(!counts_.empty(), "tokenizer train: the text has no words to learn from");
    for (const AddedToken& token : special) counts_.erase(token.text);
    std::vector<std::pair<uint64_t, std::string_view>> kept;
    for (const auto& [word, count] : counts_) {
      // A file in JSON cannot hold a word that is not valid UTF-8; such words are <unk>.
      const bool storable = valid_utf8_prefix(word) == word.size();
      if (storable && count >= std::max<uint64_t>(1, options.min_frequency)) kept.emplace_back(count, word);
    }
    std::sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    if (options.vocab_size > 0 && options.vocab_size < special.size()) {
      fail_vocabulary_too_small(options.vocab_size, special.size(), "the special tokens");
    }
    if (options.vocab_size > 0) kept.resize(std::min(kept.size(), options.vocab_size - special.size()));
    std::vector<std::string> words;
    for (const auto& [count, word] : kept) words.emplace_back(word);
    return std::make_unique<WordTokenizer>(std::move(special), std::move(words));
  }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, uint64_t, Hash, std::equal_to<>> counts_;
};

}  // namespace

WordTokenizer::WordTokenizer(std::vector<AddedToken> special, std::vector<std::string> words)
    : Tokenizer(std::move(special)), words_(std::move(words)) {
  for (size_t i = 0; i < words_.size(); ++i) ids_[words_[i]] = TokenId(special_tokens().size() + i);
}

std::unique_ptr<TextCounter> WordTokenizer::counter() { return std::make_unique<WordCounter>(); }

std::unique_ptr<Tokenizer> WordTokenizer::from_json(const engine::SortedJson& json, const std::string& what) {
  std::vector<AddedToken> special = read_special(json, {"words"}, what);
  check(special.size() >= 2 && special[unknown_id].text == "<unk>" && special[end_of_line_id].text == "<eos>",
        what, ": \"special\" must begin with \"<unk>\" and \"<eos>\"");
  auto out = std::make_unique<WordTokenizer>(std::move(special), read_strings(json, "words", what));
  for (const AddedToken& token : out->special_tokens()) {
    check(!out->ids_.contains(token.text), what, ": \"", token.text, "\" is both a word and a special token");
  }
  return out;
}

std::string WordTokenizer::to_json() const {
  engine::Json json = tokenizer_header(kind(), special_tokens());
  json["words"] = words_;
  return engine::exact_json_text(json, "tokenizer.json", 1) + "\n";
}

void WordTokenizer::encode_ordinary(std::string_view text, int, std::vector<TokenId>& out) const {
  const auto word = [&](std::string_view w) {
    const auto found = ids_.find(w);
    out.push_back(found == ids_.end() ? unknown_id : found->second);
  };
  for_each_word(text, word, [&] { out.push_back(end_of_line_id); });
}

void WordTokenizer::encode_recognising(std::string_view text, int, std::vector<TokenId>& out) const {
  const auto word = [&](std::string_view w) {
    const TokenId special = special_id(w);
    const auto found = ids_.find(w);
    out.push_back(special != no_token ? special : found == ids_.end() ? unknown_id : found->second);
  };
  for_each_word(text, word, [&] { out.push_back(end_of_line_id); });
}

void WordTokenizer::decode_ids(std::span<const TokenId> ids, std::string& out) const {
  const size_t first = special_tokens().size();
  bool line_start = true;
  for (const TokenId id : ids) {
    if (id == end_of_line_id) {
      out += '\n';
    } else {
      if (!line_start) out += ' ';
      out += id < first ? special_tokens()[id].text : words_[id - first];
    }
    line_start = id == end_of_line_id;
  }
}

}  // namespace data
