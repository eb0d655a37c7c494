// Reading the parts of tokenizer.json: typed fields, and no field that is not understood. Read first:
// engine/base/json.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/json.h"

namespace data {

/// One object of the file, with the words that name it in errors ("t.json: pre_tokenizer.pretokenizers[1]").
class JsonPart {
 public:
  JsonPart(const engine::SortedJson& json, std::string what);

  const engine::SortedJson& json() const { return json_; }
  const std::string& what() const { return what_; }
  bool has(const std::string& key) const;  // there, and not null
  /// How a field is named in errors.
  std::string path(const std::string& key) const;
  JsonPart part(const std::string& key) const;
  /// The objects of a list.
  std::vector<JsonPart> parts(const std::string& key) const;

  std::string type() const { return text("type"); }
  std::string text(const std::string& key) const;
  std::string text_or(const std::string& key, const std::string& other) const;
  bool flag_or(const std::string& key, bool other) const;
  int64_t number_or(const std::string& key, int64_t other, int64_t low, int64_t high) const;
  /// The one character of a string.
  std::string character_or(const std::string& key, const std::string& other) const;

  /// Fails on a key that is neither "type" nor one of these: what it asks for would be ignored.
  void only(const std::vector<std::string>& keys) const;

 private:
  const engine::SortedJson& json_;
  std::string what_;
};

/// `types[i].type` with its maker, for the factories: makes the piece that part.type() names, or fails with
/// the list of known ones.
template <class Piece>
struct PieceType {
  const char* type;
  std::unique_ptr<Piece> (*make)(const JsonPart& part);
};
[[noreturn]] void fail_unknown_type(const JsonPart& part, const std::vector<std::string>& known);

template <class Piece, size_t n>
std::unique_ptr<Piece> make_piece(const PieceType<Piece> (&types)[n], const JsonPart& part) {
  std::vector<std::string> known;
  for (const auto& [type, make] : types) {
    if (part.type() == type) return make(part);
    known.push_back(type);
  }
  fail_unknown_type(part, known);
}

}  // namespace data
