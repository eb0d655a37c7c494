// Read first: text_pattern.h.
#include "data/pipeline/text_pattern.h"

#include "engine/base/check.h"

namespace data {

TextPattern::TextPattern(const JsonPart& part, const std::string& key) {
  const JsonPart pattern = part.part(key);
  pattern.only({"String", "Regex"});
  engine::check(pattern.has("String") != pattern.has("Regex"), pattern.what(),
                ": expected {\"String\": …} or {\"Regex\": …}");
  source_ = pattern.text(pattern.has("String") ? "String" : "Regex");
  engine::check(!source_.empty(), pattern.what(), ": an empty pattern");
  if (pattern.has("Regex")) regex_ = std::make_unique<Regex>(source_, pattern.what());
}

}  // namespace data
