// WordPiece (Schuster, Nakajima 2012; BERT): a piece is cut from the left into the longest tokens there are;
// inside a piece they carry a prefix ("##ing"). If some part has none, the whole piece is the unknown token.
// Read first: piece_model.h.
#include "data/byte_trie.h"
#include "data/pipeline/piece_model.h"
#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {
namespace {

class WordPiece final : public PieceModel {
 public:
  explicit WordPiece(const JsonPart& part)
      : PieceModel(
            Vocabulary::from_json(part.json().value("vocab", engine::SortedJson()), part.path("vocab"))),
        prefix_(part.text_or("continuing_subword_prefix", "##")),
        unknown_text_(part.text_or("unk_token", "[UNK]")),
        unknown_(vocabulary().id(unknown_text_)),
        longest_(size_t(part.number_or("max_input_chars_per_word", 100, 0, INT64_MAX))) {
    part.only({"unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"});
    engine::check(unknown_ != no_token, part.what(), ": \"unk_token\" is ",
                  json_quoted(unknown_text_).substr(0, 64), ", which is not in the vocabulary");
    for (TokenId id = 0; id < vocabulary().size(); ++id) {
      const std::string& text = vocabulary().text(id);
      if (text.empty()) continue;
      beginnings_.insert(text, id);
      if (text.starts_with(prefix_)) inner_.insert(std::string_view(text).substr(prefix_.size()), id);
    }
  }

  TokenizerKind kind() const override { return TokenizerKind::wordpiece; }

  void encode(std::string_view piece, std::vector<TokenId>& out) const override {
    const size_t before = out.size();
    bool known = characters(piece) <= longest_;
    for (size_t at = 0; known && at < piece.size();) {
      const size_t end = longest_token(at == 0 ? beginnings_ : inner_, piece, at, out);
      known = end > at;
      at = end;
    }
    if (known) return;
    out.resize(before);
    out.push_back(unknown_);
  }

  std::string to_json() const override {
    return R"({
    "type": "WordPiece", "unk_token": )" +
           json_quoted(unknown_text_) + R"(, "continuing_subword_prefix": )" + json_quoted(prefix_) +
           R"(, "max_input_chars_per_word": )" + std::to_string(longest_) + R"(,
    "vocab": )" +
           vocabulary().to_json() + "\n  }";
  }

 private:
  static size_t characters(std::string_view text) {
    const auto* p = reinterpret_cast<const uint8_t*>(text.data());
    size_t n = 0;
    for (const auto* end = p + text.size(); p < end; ++n) p += decode_char(p, end).bytes;
    return n;
  }

  /// Appends the longest token of the tree at `at`; its end, or `at`.
  size_t longest_token(const ByteTrie& tree, std::string_view piece, size_t at,
                       std::vector<TokenId>& out) const {
    size_t best = at;
    TokenId id = no_token;
    uint32_t node = ByteTrie::root;
    for (size_t end = at; end < piece.size();) {
      node = tree.child(node, uint8_t(piece[end++]));
      if (node == ByteTrie::none) break;
      if (tree.value(node) != ByteTrie::none) best = end, id = tree.value(node);
    }
    if (id != no_token) out.push_back(id);
    return best;
  }

  std::string prefix_, unknown_text_;
  TokenId unknown_;
  size_t longest_;  // characters; a longer piece is unknown
  ByteTrie beginnings_, inner_;
};

}  // namespace

std::unique_ptr<PieceModel> make_word_piece(const JsonPart& part) {
  return std::make_unique<WordPiece>(part);
}

}  // namespace data
