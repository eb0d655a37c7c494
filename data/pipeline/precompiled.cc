// SentencePiece's rules of normalisation, compiled into one binary string: a double-array tree from what is
// replaced to an offset into the replacements, which end with NUL.
//
//   4 bytes      size of the tree in bytes
//   tree         32-bit units: label in the low byte, "a value follows" in bit 8, offset to the children
//   above the rest     replacements
//
// As in Hugging Face's tokenizers a grapheme of fewer than six bytes is looked up whole, then character by
// character, and of several rules that fit the shortest counts. Read first: normalizer.h.
#include <utf8proc.h>

#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "data/pipeline/normalizer.h"
#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {

using engine::check;

namespace {

std::string decode_base64(const std::string& text, const std::string& what) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (size_t i = 0; i < text.size() && text[i] != '='; ++i) {
    static constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t digit = digits.find(text[i]);
    check(digit != digits.npos, what, ": \"precompiled_charsmap\" is not Base64 at character ", i);
    bits = bits << 6 | uint32_t(digit);
    if ((count += 6) >= 8) out += char(bits >> (count -= 8) & 0xFF);
  }
  return out;
}

class Precompiled final : public Normalizer {
 public:
  explicit Precompiled(const JsonPart& part) {
    part.only({"precompiled_charsmap"});
    const std::string bytes = decode_base64(part.text("precompiled_charsmap"), part.what());
    uint32_t size = 0;
    const bool header = bytes.size() >= sizeof size;
    if (header) std::memcpy(&size, bytes.data(), sizeof size);
    check(header && size % 4 == 0 && size >= 4 && size <= bytes.size() - sizeof size, part.what(),
          ": \"precompiled_charsmap\" is damaged (", bytes.size(), " bytes, a tree of ", size, ")");
    units_.resize(size / 4);
    std::memcpy(units_.data(), bytes.data() + sizeof size, size);
    replacements_ = bytes.substr(sizeof size + size);
  }

  bool apply(std::string& text) const override {
    std::string out;
    out.reserve(text.size());
    const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
    const auto* end = begin + text.size();
    for (const uint8_t* p = begin; p < end;) {
      const uint8_t* next = grapheme_end(p, end);
      const std::string_view grapheme(reinterpret_cast<const char*>(p), size_t(next - p));
      if (const auto whole = grapheme.size() < 6 ? replacement(grapheme) : std::nullopt) {
        out += *whole;
      } else {
        for (const uint8_t* q = p; q < next;) {
          const std::string_view one(reinterpret_cast<const char*>(q), decode_char(q, next).bytes);
          out += replacement(one).value_or(one);
          q += one.size();
        }
      }
      p = next;
    }
    text = std::move(out);
    return false;
  }

 private:
  /// The rule for the shortest beginning of `text` that has one.
  std::optional<std::string_view> replacement(std::string_view text) const {
    size_t at = offset(units_[0]);
    for (const char c : text) {
      if (c == 0) return {};
      at ^= uint8_t(c);
      if (at >= units_.size() || (units_[at] & 0x800000FFu) != uint8_t(c)) return {};
      const uint32_t unit = units_[at];
      at ^= offset(unit);
      if (at >= units_.size()) return {};
      if ((unit >> 8 & 1) == 0) continue;
      const size_t first = units_[at] & 0x7FFFFFFFu;
      if (first > replacements_.size()) return {};
      const size_t last = std::min(replacements_.find('\0', first), replacements_.size());
      return std::string_view(replacements_).substr(first, last - first);
    }
    return {};
  }
  static size_t offset(uint32_t unit) { return size_t(unit >> 10) << ((unit & (1u << 9)) >> 6); }

  static const uint8_t* grapheme_end(const uint8_t* p, const uint8_t* end) {
    Char c = decode_char(p, end);
    p += c.bytes;
    utf8proc_int32_t state = 0;
    while (p < end && c.code != invalid_char) {
      const Char next = decode_char(p, end);
      if (next.code == invalid_char ||
          utf8proc_grapheme_break_stateful(utf8proc_int32_t(c.code), utf8proc_int32_t(next.code), &state))
        break;
      p += next.bytes;
      c = next;
    }
    return p;
  }

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace

std::unique_ptr<Normalizer> make_precompiled(const JsonPart& part) {
  return std::make_unique<Precompiled>(part);
}

}  // namespace data
