// Tokens that say where words begin or end: Metaspace's "▁", WordPiece's "##", the suffix "</w>", CTC's
// delimiter. Read first: decoder.h.
#include <algorithm>

#include "data/pipeline/decoder.h"
#include "data/pipeline/metaspace.h"

namespace data {
namespace {

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  if (what.empty()) return text;
  std::string out;
  size_t from = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, from)) {
    out.append(text, from, at - from).append(with);
    from = at + what.size();
  }
  return out.append(text, from);
}

/// Takes out the spaces that BERT's cutting puts before signs, and those inside English contractions.
std::string cleaned_up(std::string text) {
  static constexpr std::pair<const char*, const char*> rules[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [what, with] : rules) text = replaced(std::move(text), what, with);
  return text;
}

class MetaspaceDecoder final : public Decoder {
 public:
  explicit MetaspaceDecoder(const JsonPart& part) : options_(metaspace_options(part)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const bool in_front = i == 0 && options_.prepend != PrependScheme::never;
      tokens[i] = replaced(tokens[i], options_.replacement, in_front ? "" : " ");
    }
  }

 private:
  MetaspaceOptions options_;
};

class WordPieceDecoder final : public Decoder {
 public:
  explicit WordPieceDecoder(const JsonPart& part)
      : prefix_(part.text_or("prefix", "##")), clean_(part.flag_or("cleanup", true)) {
    part.only({"prefix", "cleanup"});
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) token = token.starts_with(prefix_) ? token.substr(prefix_.size()) : " " + token;
      if (clean_) token = cleaned_up(token);
    }
  }

 private:
  std::string prefix_;
  bool clean_;
};

/// BPEDecoder: the suffix that ends a word is a space, and nothing behind the last one.
class SuffixDecoder final : public Decoder {
 public:
  explicit SuffixDecoder(const JsonPart& part) : suffix_(part.text_or("suffix", "</w>")) {
    part.only({"suffix"});
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = replaced(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
  }

 private:
  std::string suffix_;
};

/// Equal neighbours are one token; padding goes.
class CtcDecoder final : public Decoder {
 public:
  explicit CtcDecoder(const JsonPart& part)
      : pad_(part.text_or("pad_token", "<pad>")),
        delimiter_(part.text_or("word_delimiter_token", "|")),
        clean_(part.flag_or("cleanup", true)) {
    part.only({"pad_token", "word_delimiter_token", "cleanup"});
  }
  void apply(std::vector<std::string>& tokens) const override {
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    for (std::string& token : tokens) {
      token = replaced(token, pad_, "");
      if (clean_) token = replaced(cleaned_up(token), delimiter_, " ");
    }
    std::erase(tokens, "");
  }

 private:
  std::string pad_, delimiter_;
  bool clean_;
};

}  // namespace

std::unique_ptr<Decoder> make_metaspace_decoder(const JsonPart& part) {
  return std::make_unique<MetaspaceDecoder>(part);
}
std::unique_ptr<Decoder> make_word_piece_decoder(const JsonPart& part) {
  return std::make_unique<WordPieceDecoder>(part);
}
std::unique_ptr<Decoder> make_suffix_decoder(const JsonPart& part) {
  return std::make_unique<SuffixDecoder>(part);
}
std::unique_ptr<Decoder> make_ctc_decoder(const JsonPart& part) { return std::make_unique<CtcDecoder>(part); }

}  // namespace data
