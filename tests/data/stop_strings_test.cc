// A text that ends where a stop string stands, however it comes in pieces.
#include "data/stop_strings.h"

#include <catch2/catch.hpp>

using data::StopStrings;

namespace {

/// The text up to the stop, pushed in pieces of `n` bytes; "!" behind it where a stop was found.
std::string shown(const std::string& text, const std::vector<std::string>& stops, size_t n) {
  StopStrings watch(stops);
  std::string out;
  for (size_t at = 0; at < text.size(); at += n) out += watch.push(text.substr(at, n));
  return out + watch.finish() + (watch.found() ? "!" : "");
}

}  // namespace

TEST_CASE("stop strings: the first in the text ends it, in pieces of any length") {
  for (size_t n = 1; n <= 12; ++n) {
    INFO(n);
    CHECK(shown("one two three", {"two"}, n) == "one !");
    CHECK(shown("one two three", {"three", "two"}, n) == "one !");
    CHECK(shown("aabaabaac", {"aabaac"}, n) == "aab!");
    CHECK(shown("abcab", {"abd"}, n) == "abcab");
    CHECK(shown("\n\n\nx", {"\n\n"}, n) == "!");
    CHECK(shown("ends with th", {"the"}, n) == "ends with th");
    CHECK(shown("anything", {}, n) == "anything");
    CHECK(shown("anything", {""}, n) == "anything");
  }
}

TEST_CASE("stop strings: only what may begin a stop is held back") {
  StopStrings watch({"stop", "topaz"});
  CHECK(watch.push("no s") == "no ");
  CHECK(watch.push("to") == "");
  CHECK(watch.push("o") == "stoo");
  CHECK(watch.push("xto") == "x");  // "to" may yet be "topaz"
  CHECK(watch.push("en") == "toen");
  CHECK_FALSE(watch.found());
  CHECK(watch.push("stop it") == "");
  CHECK(watch.found());
  CHECK(watch.push("more") == "");
  CHECK(watch.finish() == "");
}
