// Read first: kjv_text.h.
//
// The file, numbers big-endian: "EC02Compressed Data File", zeros up to byte 84, the size of a window, their
// number n, n + 1 places, then the windows. A window is the text's next 65536 bytes by the method of
// compress(1): codes of 9 to 16 bits, of a byte or of a string seen before (T. Welch, A Technique for
// High-Performance Data Compression, 1984). The first window alone has compress's three bytes of header in
// front of its place.
#include "data/kjv_text.h"

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/check.h"

namespace data {
namespace {

using engine::check;

constexpr std::string_view kMagic = "EC02Compressed Data File";
constexpr size_t kFieldsAt = 84, kMostWindow = size_t(1) << 16, kMostWindows = 4096;

uint32_t word_at(const std::string& bytes, size_t at) {
  uint32_t out = 0;
  for (size_t i = 0; i < 4; ++i) out = out << 8 | uint8_t(bytes[at + i]);
  return out;
}

/// Codes from a stream of bits, lowest first. They come in groups of eight of one width; where the width
/// changes, the rest of the group is empty.
class Codes {
 public:
  explicit Codes(std::string_view bytes) : bytes_(bytes) {}
  /// -1 at the end.
  int next() {
    if (bit_ + width_ > 8 * bytes_.size()) return -1;
    int code = 0;
    for (size_t i = 0; i < width_; ++i, ++bit_) code |= (uint8_t(bytes_[bit_ / 8]) >> (bit_ % 8) & 1) << i;
    return code;
  }
  void set_width(size_t width) {
    const size_t group = 8 * width_, begun = bit_ - group_begin_;
    bit_ = group_begin_ += (begun + group - 1) / group * group;
    width_ = width;
  }
  size_t width() const { return width_; }

 private:
  std::string_view bytes_;
  size_t bit_ = 0, group_begin_ = 0, width_ = 9;
};

constexpr size_t kLeastWidth = 9, kMostWidth = 16;
constexpr int kClear = 256;  // forget all strings

std::string expand(std::string_view packed, size_t most, const std::string& what) {
  struct String {
    int prefix;  // a code
    char last;
  };
  std::vector<String> strings;  // those of the codes from 257 on
  const auto spell = [&](int code) {
    std::string out;
    for (; code > kClear; code = strings[size_t(code - kClear - 1)].prefix)
      out.insert(out.begin(), strings[size_t(code - kClear - 1)].last);
    return char(code) + out;
  };
  std::string out;
  Codes codes(packed);
  int before = -1;
  for (int code; (code = codes.next()) >= 0;) {
    if (code == kClear) {
      strings.clear();
      codes.set_width(kLeastWidth);
      before = -1;
      continue;
    }
    const int known = kClear + 1 + int(strings.size());
    check(code < known || (code == known && before >= 0), what, ": damaged: code ", code, " of ", known);
    std::string text = code < known ? spell(code) : spell(before);
    if (code == known) text += text[0];
    out += text;
    check(out.size() <= most, what, ": damaged: a window of more than ", most, " bytes");
    // The table is full with 2^16 codes; then it stays as it is.
    if (before >= 0 && known < 1 << kMostWidth) strings.push_back({before, text[0]});
    if (kClear + 1 + strings.size() >= size_t(1) << codes.width() && codes.width() < kMostWidth)
      codes.set_width(codes.width() + 1);
    before = code;
  }
  return out;
}

}  // namespace

std::string unpack_kjv(const std::string& bytes, const std::string& what) {
  check(bytes.starts_with(kMagic) && bytes.size() >= kFieldsAt + 8, what,
        ": not the data file of Debian's bible-kjv-text");
  const size_t window = word_at(bytes, kFieldsAt), count = word_at(bytes, kFieldsAt + 4);
  const size_t places = kFieldsAt + 8, data = places + 4 * (count + 1);
  check(window <= kMostWindow && count <= kMostWindows && data <= bytes.size(), what, ": damaged: ", count,
        " windows of ", window, " bytes");
  std::string out;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = word_at(bytes, places + 4 * i), end = word_at(bytes, places + 4 * (i + 1));
    check(begin >= data && begin <= end && end <= bytes.size(), what, ": damaged: window ", i,
          " lies outside the file");
    out += expand(std::string_view(bytes).substr(begin, end - begin), window, what);
  }
  return out;
}

std::string kjv_book(const std::string& abbreviation) {
  static constexpr std::pair<const char*, const char*> kBooks[] = {
      {"Ge", "Genesis"},          {"Exo", "Exodus"},
      {"Lev", "Leviticus"},       {"Num", "Numbers"},
      {"Deu", "Deuteronomy"},     {"Josh", "Joshua"},
      {"Jdgs", "Judges"},         {"Ruth", "Ruth"},
      {"1Sm", "1 Samuel"},        {"2Sm", "2 Samuel"},
      {"1Ki", "1 Kings"},         {"2Ki", "2 Kings"},
      {"1Chr", "1 Chronicles"},   {"2Chr", "2 Chronicles"},
      {"Ezra", "Ezra"},           {"Neh", "Nehemiah"},
      {"Est", "Esther"},          {"Job", "Job"},
      {"Psa", "Psalms"},          {"Prv", "Proverbs"},
      {"Eccl", "Ecclesiastes"},   {"SSol", "Song of Solomon"},
      {"Isa", "Isaiah"},          {"Jer", "Jeremiah"},
      {"Lam", "Lamentations"},    {"Eze", "Ezekiel"},
      {"Dan", "Daniel"},          {"Hos", "Hosea"},
      {"Joel", "Joel"},           {"Amos", "Amos"},
      {"Obad", "Obadiah"},        {"Jonah", "Jonah"},
      {"Mic", "Micah"},           {"Nahum", "Nahum"},
      {"Hab", "Habakkuk"},        {"Zep", "Zephaniah"},
      {"Hag", "Haggai"},          {"Zec", "Zechariah"},
      {"Mal", "Malachi"},         {"Mat", "Matthew"},
      {"Mark", "Mark"},           {"Luke", "Luke"},
      {"John", "John"},           {"Acts", "Acts"},
      {"Rom", "Romans"},          {"1Cor", "1 Corinthians"},
      {"2Cor", "2 Corinthians"},  {"Gal", "Galatians"},
      {"Eph", "Ephesians"},       {"Phi", "Philippians"},
      {"Col", "Colossians"},      {"1Th", "1 Thessalonians"},
      {"2Th", "2 Thessalonians"}, {"1Tim", "1 Timothy"},
      {"2Tim", "2 Timothy"},      {"Titus", "Titus"},
      {"Phmn", "Philemon"},       {"Heb", "Hebrews"},
      {"Jas", "James"},           {"1Pet", "1 Peter"},
      {"2Pet", "2 Peter"},        {"1Jn", "1 John"},
      {"2Jn", "2 John"},          {"3Jn", "3 John"},
      {"Jude", "Jude"},           {"Rev", "Revelation"}};
  for (const auto& [key, name] : kBooks)
    if (abbreviation == key) return name;
  return {};
}

}  // namespace data
