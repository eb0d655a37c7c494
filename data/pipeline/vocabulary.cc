// Read first: vocabulary.h.
#include "data/pipeline/vocabulary.h"

#include <algorithm>

#include "engine/base/check.h"

namespace data {

using engine::check;

std::string json_quoted(const std::string& text) { return engine::json_text(engine::Json(text)); }

TokenId checked_id(const engine::SortedJson& id, size_t tokens, const std::string& what) {
  // Holes cost memory: there may be some, and not sixteen for each token.
  const uint64_t most = std::max<uint64_t>(uint64_t(1) << 20, 16 * uint64_t(tokens));
  const uint64_t limit = std::min<uint64_t>(most, uint64_t(1) << 24);
  const bool good = id.is_number_integer() && id >= 0 && id < limit;
  if (!good)
    engine::fail(what, " has id ", engine::json_text(id).substr(0, 32), ", expected an integer from 0 to ", limit - 1);
  return TokenId(id);
}

Vocabulary::Vocabulary(std::vector<std::string> texts) : texts_(std::move(texts)), tokens_(texts_.size()) {
  ids_.reserve(texts_.size());
  for (size_t id = 0; id < texts_.size(); ++id)
    if (!texts_[id].empty()) ids_[texts_[id]] = TokenId(id);
}

Vocabulary Vocabulary::from_json(const engine::SortedJson& json, const std::string& what) {
  check(json.is_object(), what, ": expected a JSON object from token to id");
  std::vector<std::string> texts;
  for (const auto& [text, value] : json.items()) {
    const TokenId id = checked_id(value, json.size(), what + ": token " + json_quoted(text).substr(0, 64));
    check(!text.empty(), what, ": token ", id, " is empty");
    if (id >= texts.size()) texts.resize(id + 1);
    if (!texts[id].empty())
      engine::fail(what, ": id ", id, " belongs to two tokens, ", json_quoted(texts[id]).substr(0, 64),
                   " and ", json_quoted(text).substr(0, 64));
    texts[id] = text;
  }
  Vocabulary out(std::move(texts));
  out.tokens_ = out.ids_.size();
  return out;
}

std::string Vocabulary::to_json() const {
  std::string out = "{";
  for (size_t id = 0; id < texts_.size(); ++id) {
    if (texts_[id].empty()) continue;
    out += (out.size() == 1 ? "\n      " : ",\n      ") + json_quoted(texts_[id]) + ": " + std::to_string(id);
  }
  return out + "}";
}

}  // namespace data
