// Bytes that arrive in pieces, as well-formed UTF-8 for a terminal or a JSON file: a character that is not
// complete yet waits for its rest, a byte that can belong to no character becomes U+FFFD.
// Read first: utf8.h.
#pragma once

#include <string>
#include <string_view>

namespace data {

class Utf8Stream {
 public:
  /// The text that is certain after these bytes.
  std::string push(std::string_view bytes);
  /// What is left at the end: one U+FFFD for each byte of a character that stayed incomplete.
  std::string finish();

 private:
  std::string take(bool at_end);
  std::string waiting_;  // at most three bytes between calls
};

/// The whole text at once.
std::string well_formed(std::string_view bytes);

}  // namespace data
