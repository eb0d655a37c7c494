// Text that comes in pieces and ends where one of several strings first stands in it: what --stop of `normlab
// generate` asks for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace data {

class StopStrings {
 public:
  /// Empty strings stop nothing.
  explicit StopStrings(std::vector<std::string> stops);

  /// The text that may be shown now: what could be the beginning of a stop is held back. Of a text that has
  /// ended nothing more comes.
  std::string push(std::string_view piece);
  /// Whether a stop was found; it is no part of the text, and nothing behind it.
  bool found() const { return found_; }
  /// What is still held back when the text ends by itself.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool found_ = false;
};

}  // namespace data
