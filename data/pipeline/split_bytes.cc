// ByteLevel: GPT-2's pieces, each byte written as a character (data/byte_alphabet.h). Read first:
// pre_tokenizer.h, data/pretokenize.h.
#include "data/byte_alphabet.h"
#include "data/pipeline/pre_tokenizer.h"
#include "data/pretokenize.h"

namespace data {
namespace {

class ByteLevel final : public PreTokenizer {
 public:
  explicit ByteLevel(const JsonPart& part)
      : space_(part.flag_or("add_prefix_space", true)), cut_(part.flag_or("use_regex", true)) {
    part.only({"add_prefix_space", "trim_offsets", "use_regex"});  // trim_offsets is about places in the text
  }

  void split(const Piece& piece, const UsePiece& use) const override {
    if (!space_ || piece.text.starts_with(' ')) return cut(piece, use);
    const std::string spaced = " " + std::string(piece.text);
    cut({spaced, piece.first}, use);
  }
  bool leave_bytes() override { return leave_ = true; }
  bool is_gpt2() const override { return leave_ && cut_ && !space_; }

 private:
  void cut(const Piece& piece, const UsePiece& use) const {
    if (!cut_) return write({piece.text, piece.first}, use);
    bool first = piece.first;
    for_each_piece(piece.text, [&](const uint8_t* begin, const uint8_t* end) {
      write({{reinterpret_cast<const char*>(begin), size_t(end - begin)}, first}, use);
      first = false;
    });
  }
  void write(const Piece& piece, const UsePiece& use) const {
    if (leave_) return use(piece);
    const std::string written = bytes_to_alphabet(piece.text);
    use({written, piece.first});
  }

  bool space_, cut_, leave_ = false;
};

}  // namespace

std::unique_ptr<PreTokenizer> make_byte_level(const JsonPart& part) {
  return std::make_unique<ByteLevel>(part);
}

}  // namespace data
