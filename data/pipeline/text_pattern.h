// {"String": "…"} or {"Regex": "…"}: what Replace and Split look for. Read first: regex.h.
#pragma once

#include "data/pipeline/json_fields.h"
#include "data/pipeline/regex.h"

namespace data {

class TextPattern {
 public:
  /// part[key]
  TextPattern(const JsonPart& part, const std::string& key);
  const std::string& source() const { return source_; }
  bool is_regex() const { return regex_ != nullptr; }

  /// Calls use(begin, end) for each match, left to right. In no text there is none, not even of nothing.
  template <class Use>
  void each(std::string_view text, const Use& use) const {
    if (text.empty()) return;
    if (regex_) return regex_->each(text, [&](const Regex::Match& match) { use(match.begin, match.end); });
    for (size_t at = text.find(source_); at != text.npos; at = text.find(source_, at + source_.size()))
      use(at, at + source_.size());
  }

 private:
  std::string source_;
  std::unique_ptr<Regex> regex_;  // null: source_ is taken as it is written
};

}  // namespace data
