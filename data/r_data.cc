// Read first: r_data.h.
#include "data/r_data.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "data/byte_source.h"
#include "engine/base/check.h"
#include "engine/base/file.h"

namespace data {
namespace {

using engine::check;
constexpr size_t kMaxBytes = size_t(64) << 20;  // of an index, of the packed data, of all that is unpacked
constexpr size_t kMaxItems = size_t(1)
                             << 16;  // of lists: an item takes 24 times the 4 bytes it may be packed in

/// A value of R: only the kinds that text data sets use.
struct RValue {
  std::vector<std::string> strings, names;
  std::vector<int64_t> integers;
  std::vector<RValue> items;
};

/// SEXPTYPE codes of R Internals, section 1.1, and the pseudo-codes of serialize.c.
enum RType : uint32_t {
  kSymbol = 1,
  kPairList = 2,
  kCharacter = 9,
  kLogical = 10,
  kInteger = 13,
  kReal = 14,
  kStrings = 16,
  kList = 19,
  kNil = 254,
  kReference = 255
};

class RParser {
 public:
  RParser(const std::string& bytes, std::string what) : bytes_(bytes), what_(std::move(what)) {}

  RValue parse() {
    check(bytes_.starts_with("X\n"), what_, ": not R's binary serialisation");
    at_ = 2;
    const uint32_t version = word();
    check(version == 2 || version == 3, what_, ": R serialisation version ", version, ", expected 2 or 3");
    word(), word();                  // the R that wrote it, the oldest that can read it
    if (version == 3) take(word());  // the native encoding's name
    return value(0);
  }

 private:
  std::string_view take(size_t bytes) {
    check(bytes <= bytes_.size() - at_, what_, ": truncated R data at byte ", at_);
    at_ += bytes;
    return std::string_view(bytes_).substr(at_ - bytes, bytes);
  }
  uint32_t word() {
    const std::string_view b = take(4);
    uint32_t out = 0;
    for (const char c : b) out = (out << 8) | uint8_t(c);
    return out;
  }
  /// A vector's length; every element takes at least `least` bytes, so a length that cannot be is seen early.
  size_t length(size_t least) {
    const uint32_t n = word();
    check(n <= (bytes_.size() - at_) / least, what_, ": an R vector of ", n, " elements at byte ", at_,
          " in what is left of ", bytes_.size(), " bytes");
    return n;
  }

  std::string character(uint32_t flags) {
    const int32_t n = int32_t(word());
    if (n == -1) return "";  // NA
    check(n >= 0, what_, ": a string of ", n, " bytes");
    const std::string_view raw = take(size_t(n));
    constexpr uint32_t kLatin1 = 1 << (12 + 2);
    if ((flags & kLatin1) == 0) return std::string(raw);
    std::string out;
    for (const char c : raw) {
      const auto b = static_cast<unsigned char>(c);
      if (b < 0x80)
        out += c;
      else
        out += char(0xc0 | (b >> 6)), out += char(0x80 | (b & 0x3f));
    }
    return out;
  }

  /// A symbol's name; symbols are numbered as they appear, and later ones refer to the number.
  std::string symbol(uint32_t flags) {
    if ((flags & 0xff) == kReference) {
      const uint32_t index = flags >> 8 != 0 ? flags >> 8 : word();
      check(index >= 1 && index <= symbols_.size(), what_, ": reference ", index, " to one of ",
            symbols_.size(), " symbols");
      return symbols_[index - 1];
    }
    check((flags & 0xff) == kSymbol, what_, ": R type ", flags & 0xff, " where a symbol was expected");
    const uint32_t name = word();
    check((name & 0xff) == kCharacter, what_, ": a symbol without a name");
    return symbols_.emplace_back(character(name));
  }

  RValue value(int depth) {
    check(depth < 64, what_, ": R data nested deeper than 64 levels");
    const uint32_t flags = word();
    RValue out;
    size_t n = 0;
    switch (flags & 0xff) {
      case kNil: return out;
      case kStrings:
        out.strings.reserve(n = length(8));
        for (; n > 0; --n) out.strings.push_back(character(word()));
        break;
      case kInteger:
      case kLogical:
        out.integers.reserve(n = length(4));
        for (; n > 0; --n) out.integers.push_back(int32_t(word()));
        break;
      case kReal: take(8 * length(8)); break;
      case kList:
        for (n = length(4); n > 0; --n) {
          check(++items_ <= kMaxItems, what_, ": lists of more than ", kMaxItems, " items");
          out.items.push_back(value(depth + 1));
        }
        break;
      default:
        engine::fail(what_, ": R type ", flags & 0xff, " at byte ", at_ - 4, " is not one of text data");
    }
    constexpr uint32_t kHasAttributes = 1 << 9;
    if (flags & kHasAttributes) attributes(out, depth);
    return out;
  }

  /// A pair list of (symbol, value); only `names` matters.
  void attributes(RValue& owner, int depth) {
    for (uint32_t flags = word(); (flags & 0xff) != kNil; flags = word()) {
      constexpr uint32_t kHasTag = 1 << 10;
      check((flags & 0xff) == kPairList && (flags & kHasTag), what_, ": damaged attributes at byte ",
            at_ - 4);
      const std::string name = symbol(word());
      RValue attribute = value(depth + 1);
      if (name == "names") owner.names = std::move(attribute.strings);
    }
  }

  const std::string& bytes_;
  std::string what_;
  size_t at_ = 0, items_ = 0;
  std::vector<std::string> symbols_;
};

const RValue& named_item(const RValue& list, const std::string& name, const std::string& what) {
  for (size_t i = 0; i < list.items.size() && i < list.names.size(); ++i)
    if (list.names[i] == name) return list.items[i];
  engine::fail(what, ": no \"", name, "\" in the index");
}

}  // namespace

std::vector<RStrings> read_r_database(const std::string& path) {
  const std::string index_path = path + ".rdx", data_path = path + ".rdb";
  const std::string index_bytes = read_all(*open_bytes(index_path), index_path, kMaxBytes);
  const RValue index = RParser(index_bytes, index_path).parse();
  const RValue& compressed = named_item(index, "compressed", index_path);
  check(compressed.integers == std::vector<int64_t>{1}, data_path,
        ": compressed by another method than zlib (only R's default is read)");
  const RValue& variables = named_item(index, "variables", index_path);
  const std::string data = engine::read_file(data_path, kMaxBytes);

  std::vector<RStrings> out;
  size_t left = kMaxBytes;
  for (size_t i = 0; i < variables.items.size(); ++i) {
    const auto& place = variables.items[i].integers;
    check(place.size() == 2 && i < variables.names.size() && place[0] >= 0 && place[1] >= 4 &&
              place[0] + place[1] <= int64_t(data.size()),
          index_path, ": entry ", i, " lies outside ", data_path);
    const std::string what = data_path + " (" + variables.names[i] + ")";
    const std::string packed = data.substr(size_t(place[0]) + 4, size_t(place[1]) - 4);
    const std::string bytes = inflate_bytes(packed, what, left);
    left -= bytes.size();
    out.push_back({variables.names[i], RParser(bytes, what).parse().strings});
  }
  return out;
}

}  // namespace data
