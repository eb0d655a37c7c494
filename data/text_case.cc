// Read first: text_case.h.
#include "data/text_case.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "data/utf8.h"

namespace data {
namespace {

const uint8_t* bytes_of(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

bool is_white_space(uint32_t code) {
  return code != invalid_char &&
         (char_class_table()[code] == CharClass::space || (code >= 0x1C && code <= 0x1F));
}

/// Characters whose title case is more than one character (Unicode's SpecialCasing.txt, without conditions).
struct LongTitle {
  uint32_t code, title[3];
};
constexpr LongTitle kLongTitles[] = {
    {0x00DF, {0x53, 0x73}},          {0x0149, {0x2BC, 0x4E}},         {0x01F0, {0x4A, 0x30C}},
    {0x0390, {0x399, 0x308, 0x301}}, {0x03B0, {0x3A5, 0x308, 0x301}}, {0x0587, {0x535, 0x582}},
    {0x1E96, {0x48, 0x331}},         {0x1E97, {0x54, 0x308}},         {0x1E98, {0x57, 0x30A}},
    {0x1E99, {0x59, 0x30A}},         {0x1E9A, {0x41, 0x2BE}},         {0x1F50, {0x3A5, 0x313}},
    {0x1F52, {0x3A5, 0x313, 0x300}}, {0x1F54, {0x3A5, 0x313, 0x301}}, {0x1F56, {0x3A5, 0x313, 0x342}},
    {0x1FB2, {0x1FBA, 0x345}},       {0x1FB4, {0x386, 0x345}},        {0x1FB6, {0x391, 0x342}},
    {0x1FB7, {0x391, 0x342, 0x345}}, {0x1FC2, {0x1FCA, 0x345}},       {0x1FC4, {0x389, 0x345}},
    {0x1FC6, {0x397, 0x342}},        {0x1FC7, {0x397, 0x342, 0x345}}, {0x1FD2, {0x399, 0x308, 0x300}},
    {0x1FD3, {0x399, 0x308, 0x301}}, {0x1FD6, {0x399, 0x342}},        {0x1FD7, {0x399, 0x308, 0x342}},
    {0x1FE2, {0x3A5, 0x308, 0x300}}, {0x1FE3, {0x3A5, 0x308, 0x301}}, {0x1FE4, {0x3A1, 0x313}},
    {0x1FE6, {0x3A5, 0x342}},        {0x1FE7, {0x3A5, 0x308, 0x342}}, {0x1FF2, {0x1FFA, 0x345}},
    {0x1FF4, {0x38F, 0x345}},        {0x1FF6, {0x3A9, 0x342}},        {0x1FF7, {0x3A9, 0x342, 0x345}},
    {0xFB00, {0x46, 0x66}},          {0xFB01, {0x46, 0x69}},          {0xFB02, {0x46, 0x6C}},
    {0xFB03, {0x46, 0x66, 0x69}},    {0xFB04, {0x46, 0x66, 0x6C}},    {0xFB05, {0x53, 0x74}},
    {0xFB06, {0x53, 0x74}},          {0xFB13, {0x544, 0x576}},        {0xFB14, {0x544, 0x565}},
    {0xFB15, {0x544, 0x56B}},        {0xFB16, {0x54E, 0x576}},        {0xFB17, {0x544, 0x56D}}};

constexpr uint32_t kCapitalSigma = 0x3A3, kFinalSigma = 0x3C2, kDottedCapitalI = 0x130;

void append_title(std::string& out, uint32_t code) {
  const auto* found = std::find_if(std::begin(kLongTitles), std::end(kLongTitles),
                                   [&](const LongTitle& t) { return t.code == code; });
  if (found == std::end(kLongTitles))
    return append_utf8(out, uint32_t(utf8proc_totitle(utf8proc_int32_t(code))));
  for (const uint32_t part : found->title)
    if (part != 0) append_utf8(out, part);
}

void append_lower(std::string& out, uint32_t code) {
  if (code == kDottedCapitalI) return out.append("i\xcc\x87"), void();  // i with a combining dot above
  append_utf8(out, uint32_t(utf8proc_tolower(utf8proc_int32_t(code))));
}

bool is_cased(uint32_t code) {
  const auto category = utf8proc_category(utf8proc_int32_t(code));
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT || code == 0xAA || code == 0xBA;  // the ordinals of Latin 1
}

/// Marks, format characters, modifiers and the punctuation that stands inside words (Case_Ignorable).
bool is_case_ignorable(uint32_t code) {
  switch (utf8proc_category(utf8proc_int32_t(code))) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: break;
  }
  constexpr uint32_t inside_words[] = {0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,  0x5F4,  0x2018, 0x2019,
                                       0x2024, 0x2027, 0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
  return std::find(std::begin(inside_words), std::end(inside_words), code) != std::end(inside_words);
}

std::vector<uint32_t> code_points(std::string_view text) {
  std::vector<uint32_t> out;
  const uint8_t* end = bytes_of(text) + text.size();
  for (const uint8_t* p = bytes_of(text); p < end;) {
    const Char c = decode_char(p, end);
    out.push_back(c.code);
    p += c.bytes;
  }
  return out;
}

/// A capital sigma that ends a word becomes another letter than one inside it.
bool ends_a_word(const std::vector<uint32_t>& text, size_t at) {
  size_t before = at, after = at + 1;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  while (after < text.size() && is_case_ignorable(text[after])) ++after;
  return before > 0 && is_cased(text[before - 1]) && !(after < text.size() && is_cased(text[after]));
}

}  // namespace

std::string_view strip_left(std::string_view text) {
  while (!text.empty()) {
    const Char c = decode_char(bytes_of(text), bytes_of(text) + text.size());
    if (!is_white_space(c.code)) break;
    text.remove_prefix(c.bytes);
  }
  return text;
}

std::string_view strip_right(std::string_view text) {
  while (!text.empty()) {
    const Char c = decode_char_before(bytes_of(text), bytes_of(text) + text.size());
    if (!is_white_space(c.code)) break;
    text.remove_suffix(c.bytes);
  }
  return text;
}

std::string_view strip(std::string_view text) { return strip_left(strip_right(text)); }

std::string capitalized(std::string_view text) {
  const std::vector<uint32_t> codes = code_points(text);
  std::string out;
  for (size_t i = 0; i < codes.size(); ++i) {
    if (i == 0)
      append_title(out, codes[i]);
    else if (codes[i] == kCapitalSigma && ends_a_word(codes, i))
      append_utf8(out, kFinalSigma);
    else
      append_lower(out, codes[i]);
  }
  return out;
}

std::string lower_first(std::string_view text) {
  if (text.empty()) return "";
  const Char first = decode_char(bytes_of(text), bytes_of(text) + text.size());
  std::string out;
  append_lower(out, first.code);
  return out.append(text.substr(first.bytes));
}

}  // namespace data
