// What becomes of the matches that a text is cut at: tokenizer.json's "behavior". Read first:
// pre_tokenizer.h.
#pragma once

#include "data/pipeline/pre_tokenizer.h"

namespace data {

/// For "a--b" and matches of "-":
enum class CutBehavior {
  removed,               // a b
  isolated,              // a - - b
  contiguous,            // a -- b
  merged_with_previous,  // a- - b
  merged_with_next,      // a - -b
};
CutBehavior cut_behavior(const JsonPart& part, CutBehavior unless_given);

/// Takes the matches of a piece from left to right and hands on its parts.
class Cutter {
 public:
  Cutter(const Piece& piece, CutBehavior behavior, bool invert, const UsePiece& use)
      : piece_(piece), behavior_(behavior), invert_(invert), use_(use) {}

  void match(size_t begin, size_t end) {
    if (at_ != begin) section(at_, begin, invert_);
    section(begin, end, !invert_);
    at_ = end;
  }
  void finish() {
    if (at_ != piece_.text.size()) section(at_, piece_.text.size(), invert_);
    if (held_) hand_on(begin_, end_);
  }

 private:
  void section(size_t begin, size_t end, bool is_match);
  void hand_on(size_t begin, size_t end) const {
    if (end > begin) use_({piece_.text.substr(begin, end - begin), piece_.first && begin == 0});
  }

  const Piece& piece_;
  CutBehavior behavior_;
  bool invert_;  // what lies between the matches counts as match
  const UsePiece& use_;
  size_t at_ = 0;                // behind the last match
  bool held_ = false;            // a section waits for what follows
  size_t begin_ = 0, end_ = 0;   // the one that waits
  bool last_was_match_ = false;  // the section before
};

}  // namespace data
