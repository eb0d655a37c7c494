// The scanner of GPT-2's pattern against PCRE2's JIT compiler, on every code point, on random text and on
// real text; and the cuts at which threads may start.
#include "data/pretokenize.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "engine/base/file.h"
#include "engine/base/philox.h"
#include "shared_data.h"

using namespace data;
using Pieces = std::vector<std::string_view>;

namespace {

// White space is spelled out: PCRE2's \s also takes U+180E, which lost White_Space in Unicode 6.3.
constexpr const char* gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\t-\r\x{85}\p{Z}\p{L}\p{N}]+|)"
    R"([\t-\r\x{85}\p{Z}]+(?![^\t-\r\x{85}\p{Z}])|[\t-\r\x{85}\p{Z}]+)";

class Reference {
 public:
  Reference() {
    int error = 0;
    PCRE2_SIZE where = 0;
    code_ = pcre2_compile(PCRE2_SPTR(gpt2_pattern), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error,
                          &where, nullptr);
    REQUIRE(code_ != nullptr);
    pcre2_jit_compile(code_, PCRE2_JIT_COMPLETE);
    match_ = pcre2_match_data_create(1, nullptr);
  }
  ~Reference() {
    pcre2_match_data_free(match_);
    pcre2_code_free(code_);
  }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  Pieces split(std::string_view text) const {
    Pieces pieces;
    size_t at = 0;
    while (at < text.size()) {
      const int found = pcre2_match(code_, PCRE2_SPTR(text.data()), text.size(), at,
                                    at == 0 ? 0 : PCRE2_NO_UTF_CHECK, match_, nullptr);
      REQUIRE(found > 0);
      const PCRE2_SIZE* span = pcre2_get_ovector_pointer(match_);
      REQUIRE(span[0] == at);
      pieces.push_back(text.substr(at, span[1] - at));
      at = span[1];
    }
    return pieces;
  }

 private:
  pcre2_code* code_ = nullptr;
  pcre2_match_data* match_ = nullptr;
};

Pieces scan(std::string_view text) {
  Pieces pieces;
  for_each_piece(text, [&](const uint8_t* first, const uint8_t* last) {
    pieces.emplace_back(reinterpret_cast<const char*>(first), size_t(last - first));
  });
  return pieces;
}

std::string random_text(engine::Rng& rng, int length) {
  static const std::vector<std::string> usual = {
      "'s", "'t", "'re", "'ve",  "'m",     "'ll",    "'d",     "'",      " ",      "  ",
      "\n", "\t", "a",   "Zq",   "7",      "42",     "!",      "_",      "\r",     "é",
      "漢", "٣",  "½",   "🙂", "\u00A0", "\u3000", "\u0085", "\u2028", "\u180E", "\u200B"};
  std::string text;
  for (int i = 0; i < length; ++i) {
    if (rng.below(4) != 0) {
      text += usual[rng.below(usual.size())];
    } else {
      const uint32_t planes[] = {0x80, 0x800, 0x3000, 0x110000};
      uint32_t code = uint32_t(rng.below(planes[rng.below(4)]));
      if ((code >= 0xD800 && code < 0xE000) || utf8proc_category(int32_t(code)) == UTF8PROC_CATEGORY_CN)
        code = 'x';
      append_utf8(text, code);
    }
  }
  return text;
}

}  // namespace

TEST_CASE("the scanner cuts the documented examples") {
  CHECK(scan("Hello, y'all!  don't\n\n x 42nd") ==
        Pieces{"Hello", ",", " y", "'", "all", "!", " ", " don", "'t", "\n\n", " x", " 42", "nd"});
  CHECK(scan("  ") == Pieces{"  "});
  CHECK(scan(" 's") == Pieces{" '", "s"});
  CHECK(scan("") == Pieces{});
}

TEST_CASE("the scanner agrees with PCRE2 on every code point both Unicode versions know", "[medium]") {
  const Reference reference;
  int compared = 0;
  for (uint32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text = "a1 ";
    append_utf8(text, code);
    append_utf8(text, code);
    text += "b";
    if (scan(text) == reference.split(text)) {
      ++compared;
      continue;
    }
    // PCRE2 follows an older Unicode: they may differ only where it knows no character and we do.
    std::string alone;
    append_utf8(alone, code);
    INFO("U+" << std::hex << code);
    CHECK(reference.split("!" + alone).size() == 1);
    CHECK(char_class_table()[code] != CharClass::other);
  }
  CHECK(compared > 1'100'000);
}

TEST_CASE("the scanner agrees with PCRE2 on random text") {
  const Reference reference;
  engine::Rng rng{11};
  // Characters that only the newer Unicode of the two knows are not a difference in the pattern.
  for (int i = 0; i < 4000; ++i) {
    std::string text = random_text(rng, 1 + int(rng.below(40)));
    const Pieces ours = scan(text), theirs = reference.split(text);
    if (ours != theirs) {
      bool new_character = false;
      const auto* p = reinterpret_cast<const uint8_t*>(text.data());
      for (const auto* end = p + text.size(); p < end;) {
        const Char c = decode_char(p, end);
        std::string pair = "!";
        append_utf8(pair, c.code);
        new_character |= scan(pair) != reference.split(pair);
        p += c.bytes;
      }
      INFO(text);
      CHECK(new_character);
    }
  }
}

TEST_CASE("the scanner agrees with PCRE2 on real text") {
  const Reference reference;
  for (const char* name : {"data/wikitext-raw/wiki.test.raw", "data/tinyshakespeare/input.txt"}) {
    const std::string path = shared_path(name);
    if (path.empty()) continue;
    const std::string text = engine::read_file(path);
    CHECK(scan(text) == reference.split(text));
  }
}

TEST_CASE("bytes outside UTF-8 are characters of class other") {
  CHECK(scan("ab\xFF\xFE"
             "cd") == Pieces{"ab", "\xFF\xFE", "cd"});
  CHECK(scan(" \xED\xA0\x80!") == Pieces{" \xED\xA0\x80!"});            // a surrogate
  CHECK(scan("a\xC0\xAF") == Pieces{"a", "\xC0\xAF"});                  // an overlong slash
  CHECK(scan("a\xE6\xBC") == Pieces{"a", "\xE6\xBC"});                  // cut short
  CHECK(scan("\xF4\x90\x80\x80z") == Pieces{"\xF4\x90\x80\x80", "z"});  // above U+10FFFF
  CHECK(valid_utf8_prefix("caf\xC3\xA9 \xE9") == 6);
}

TEST_CASE("pieces of the parts are the pieces of the text") {
  engine::Rng rng{12};
  for (int i = 0; i < 2000; ++i) {
    std::string text = random_text(rng, int(rng.below(60)));
    for (int k = int(rng.below(4)); k > 0 && !text.empty(); --k)
      text[rng.below(text.size())] = char(rng.below(256));
    Pieces joined;
    size_t bytes = 0;
    for (const std::string_view part : split_at_safe_places(text, rng.below(30))) {
      for (const std::string_view piece : scan(part)) joined.push_back(piece);
      bytes += part.size();
    }
    CHECK(bytes == text.size());
    CHECK(joined == scan(text));
  }
  CHECK(split_at_safe_places("one two three four", 5) == Pieces{"one two", " three", " four"});
}
