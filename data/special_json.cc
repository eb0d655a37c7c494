// Read first: special_json.h.
#include "data/special_json.h"

#include <algorithm>
#include <set>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace data {

using engine::check;

engine::Json tokenizer_header(TokenizerKind kind, const std::vector<AddedToken>& special) {
  engine::Json json = {{"format", "normlab-tokenizer"}, {"version", 1}, {"kind", kind_name(kind)}};
  json["special"] = engine::Json::array();
  for (const AddedToken& token : special) json["special"].push_back(token.text);
  return json;
}

std::vector<std::string> read_strings(const engine::SortedJson& json, const std::string& key,
                                      const std::string& what) {
  const std::string name = what + ": \"" + key + "\"";
  check(json.contains(key) && json[key].is_array(), name, " must be a list of strings");
  std::vector<std::string> strings;
  std::set<std::string> seen;
  for (const auto& value : json[key]) {
    check(value.is_string(), name, ": entry ", strings.size(), " is not a string");
    strings.push_back(value);
    check(!strings.back().empty(), name, ": entry ", strings.size() - 1, " is empty");
    check(seen.insert(strings.back()).second, name, ": \"", strings.back(), "\" appears twice");
  }
  return strings;
}

std::vector<AddedToken> read_special(const engine::SortedJson& json, const std::vector<std::string>& keys,
                                     const std::string& what) {
  std::vector<std::string> known = {"format", "version", "kind", "special"};
  known.insert(known.end(), keys.begin(), keys.end());
  for (const auto& [key, value] : json.items()) {
    check(std::find(known.begin(), known.end(), key) != known.end(), what, ": unknown key \"", key,
          "\"", engine::near_hint(key, known, " (nearest valid key: \""));
  }
  std::vector<AddedToken> special;
  for (const std::string& text : read_strings(json, "special", what)) {
    special.push_back({text, TokenId(special.size())});
  }
  return special;
}

void fail_vocabulary_too_small(size_t wanted, size_t least, const std::string& because) {
  engine::fail("tokenizer train: a vocabulary of ", wanted, " is too small: ", least, " are needed for ",
               because);
}

}  // namespace data
