// The factory, and decoding in a row. Read first: decoder.h.
#include "data/pipeline/decoder.h"

namespace data {
namespace {

class DecoderSequence final : public Decoder {
 public:
  explicit DecoderSequence(std::vector<std::unique_ptr<Decoder>> steps) : steps_(std::move(steps)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (const auto& step : steps_) step->apply(tokens);
  }
  bool is_byte_level() const override { return steps_.size() == 1 && steps_[0]->is_byte_level(); }

 private:
  std::vector<std::unique_ptr<Decoder>> steps_;
};

std::unique_ptr<Decoder> make_sequence(const JsonPart& part) {
  part.only({"decoders"});
  std::vector<std::unique_ptr<Decoder>> steps;
  for (const JsonPart& step : part.parts("decoders")) steps.push_back(make_decoder(step));
  return std::make_unique<DecoderSequence>(std::move(steps));
}

constexpr PieceType<Decoder> types[] = {{"Sequence", make_sequence},
                                        {"ByteLevel", make_byte_level_decoder},
                                        {"ByteFallback", make_byte_fallback},
                                        {"Metaspace", make_metaspace_decoder},
                                        {"WordPiece", make_word_piece_decoder},
                                        {"BPEDecoder", make_suffix_decoder},
                                        {"CTC", make_ctc_decoder},
                                        {"Replace", make_replace_decoder},
                                        {"Strip", make_strip_decoder},
                                        {"Fuse", make_fuse}};

}  // namespace

std::unique_ptr<Decoder> make_decoder(const JsonPart& part) { return make_piece(types, part); }

std::string decode_tokens(const Decoder* decoder, std::vector<std::string> tokens) {
  if (decoder != nullptr) decoder->apply(tokens);
  std::string out;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (decoder == nullptr && i > 0) out += ' ';
    out += tokens[i];
  }
  return out;
}

}  // namespace data
