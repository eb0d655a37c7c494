// WordLevel: a piece is a token or it is unknown. Read first: piece_model.h.
#include "data/pipeline/piece_model.h"
#include "engine/base/check.h"

namespace data {
namespace {

class WordLevel final : public PieceModel {
 public:
  explicit WordLevel(const JsonPart& part)
      : PieceModel(
            Vocabulary::from_json(part.json().value("vocab", engine::SortedJson()), part.path("vocab"))),
        unknown_text_(part.text_or("unk_token", "<unk>")),
        unknown_(vocabulary().id(unknown_text_)) {
    part.only({"unk_token", "vocab"});
  }

  TokenizerKind kind() const override { return TokenizerKind::wordlevel; }

  void encode(std::string_view piece, std::vector<TokenId>& out) const override {
    const TokenId known = vocabulary().id(piece);
    const TokenId id = known != no_token ? known : unknown_;
    if (id == no_token)
      engine::fail("encode: ", json_quoted(std::string(piece.substr(0, 64))),
                   " is not in the vocabulary, which has no ", json_quoted(unknown_text_));
    out.push_back(id);
  }

  std::string to_json() const override {
    return R"({
    "type": "WordLevel", "unk_token": )" +
           json_quoted(unknown_text_) + R"(,
    "vocab": )" +
           vocabulary().to_json() + "\n  }";
  }

 private:
  std::string unknown_text_;
  TokenId unknown_;
};

}  // namespace

std::unique_ptr<PieceModel> make_word_level(const JsonPart& part) {
  return std::make_unique<WordLevel>(part);
}

}  // namespace data
