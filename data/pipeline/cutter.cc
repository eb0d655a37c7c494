// Read first: cutter.h.
#include "data/pipeline/cutter.h"

#include "engine/base/check.h"

namespace data {

CutBehavior cut_behavior(const JsonPart& part, CutBehavior unless_given) {
  if (!part.has("behavior")) return unless_given;
  const std::string name = part.text("behavior");
  if (name == "Removed") return CutBehavior::removed;
  if (name == "Isolated") return CutBehavior::isolated;
  if (name == "Contiguous") return CutBehavior::contiguous;
  if (name == "MergedWithPrevious") return CutBehavior::merged_with_previous;
  if (name == "MergedWithNext") return CutBehavior::merged_with_next;
  engine::fail(part.what(), ": \"behavior\" is \"", name.substr(0, 64),
               "\"; expected Removed, Isolated, Contiguous, MergedWithPrevious or MergedWithNext");
}

void Cutter::section(size_t begin, size_t end, bool is_match) {
  const auto join = [&](bool with_last) {
    if (held_ && with_last) {
      end_ = end;
    } else {
      if (held_) hand_on(begin_, end_);
      begin_ = begin, end_ = end, held_ = true;
    }
  };
  switch (behavior_) {
    case CutBehavior::removed:
      if (!is_match) hand_on(begin, end);
      break;
    case CutBehavior::isolated: hand_on(begin, end); break;
    case CutBehavior::contiguous: join(is_match == last_was_match_); break;
    case CutBehavior::merged_with_previous: join(is_match && !last_was_match_); break;
    case CutBehavior::merged_with_next: join(!is_match && last_was_match_); break;
  }
  last_was_match_ = is_match;
}

}  // namespace data
