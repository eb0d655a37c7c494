// Finding many strings at once, against the plain way.
#include "data/token_finder.h"

#include <catch2/catch.hpp>

#include "engine/base/philox.h"

using namespace data;

namespace {

/// Leftmost, then longest, none inside another; the last of equal ones.
std::vector<TokenFinder::Match> plainly(const std::vector<std::string>& strings, std::string_view text) {
  std::vector<TokenFinder::Match> out;
  for (size_t at = 0; at < text.size();) {
    size_t longest = 0, which = 0;
    for (size_t i = 0; i < strings.size(); ++i)
      if (text.substr(at).starts_with(strings[i]) && strings[i].size() >= longest)
        longest = strings[i].size(), which = i;
    if (longest > 0) out.push_back({at, at + longest, uint32_t(which)});
    at += std::max<size_t>(1, longest);
  }
  return out;
}

}  // namespace

TEST_CASE("all strings are found, leftmost and longest") {
  engine::Rng rng{11};
  const auto random = [&](uint64_t length) {
    std::string text;
    for (uint64_t i = 0; i < length; ++i) text += char('a' + rng.below(3));
    return text;
  };
  for (int round = 0; round < 400; ++round) {
    std::vector<std::string> strings;
    for (uint64_t i = 1 + rng.below(8); i > 0; --i) strings.push_back(random(1 + rng.below(5)));
    const TokenFinder finder(strings);
    const std::string text = random(rng.below(60));
    const auto expected = plainly(strings, text), found = finder.find_all(text);
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      CHECK(found[i].begin == expected[i].begin);
      CHECK(found[i].end == expected[i].end);
      CHECK(found[i].which == expected[i].which);
    }
  }
  CHECK(TokenFinder().find_all("abc").empty());
  CHECK(TokenFinder({"a"}).find_all("").empty());
}

TEST_CASE("a string that never ends costs one pass") {
  const std::string text(2'000'000, 'a');
  CHECK(TokenFinder({std::string(100'000, 'a') + "b", "aa"}).find_all(text).size() == 1'000'000);
}
