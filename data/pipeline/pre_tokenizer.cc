// The factory, and cutting in a row. Read first: pre_tokenizer.h.
#include "data/pipeline/pre_tokenizer.h"

#include <vector>

namespace data {
namespace {

class PreTokenizerSequence final : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<std::unique_ptr<PreTokenizer>> steps) : steps_(std::move(steps)) {
    // Step i hands its pieces to step i + 1.
    for (size_t i = 0; i < steps_.size(); ++i)
      splitters_.push_back([this, i](const Piece& piece, const UsePiece& use) {
        if (i + 1 == steps_.size()) return steps_[i]->split(piece, use);
        steps_[i]->split(piece, [&](const Piece& part) { splitters_[i + 1](part, use); });
      });
  }
  void split(const Piece& piece, const UsePiece& use) const override {
    if (steps_.empty()) return use(piece);
    splitters_[0](piece, use);
  }
  bool leave_bytes() override { return !steps_.empty() && steps_.back()->leave_bytes(); }
  bool is_gpt2() const override { return steps_.size() == 1 && steps_[0]->is_gpt2(); }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
  std::vector<std::function<void(const Piece&, const UsePiece&)>> splitters_;
};

std::unique_ptr<PreTokenizer> make_sequence(const JsonPart& part) {
  part.only({"pretokenizers"});
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  for (const JsonPart& step : part.parts("pretokenizers")) steps.push_back(make_pre_tokenizer(step));
  return std::make_unique<PreTokenizerSequence>(std::move(steps));
}

constexpr PieceType<PreTokenizer> types[] = {{"Sequence", make_sequence},
                                             {"ByteLevel", make_byte_level},
                                             {"Split", make_split},
                                             {"Metaspace", make_metaspace},
                                             {"Digits", make_digits},
                                             {"Punctuation", make_punctuation},
                                             {"BertPreTokenizer", make_bert_pre_tokenizer},
                                             {"Whitespace", make_whitespace},
                                             {"WhitespaceSplit", make_whitespace_split},
                                             {"CharDelimiterSplit", make_delimiter_split},
                                             {"FixedLength", make_fixed_length}};

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonPart& part) { return make_piece(types, part); }

}  // namespace data
