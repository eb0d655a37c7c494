// The data file of Debian's bible-kjv-text, made here in small, and the recipe that reads it.
#include "data/kjv_text.h"

#include <catch2/catch.hpp>

#include "data/recipes.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "temporary_folder.h"

using namespace data;
using Catch::Matchers::Contains;

namespace {

std::string word(uint32_t x) { return {char(x >> 24), char(x >> 16), char(x >> 8), char(x)}; }

/// compress(1)'s bits for these codes. A code adds a string to the table, and the table the width.
std::string packed(const std::vector<int>& codes) {
  std::string out;
  size_t bit = 0, group = 0, width = 9, known = 257;
  int before = -1;
  for (const int code : codes) {
    for (size_t i = 0; i < width; ++i, ++bit) {
      if (bit / 8 >= out.size()) out += '\0';
      if (code >> i & 1) out[bit / 8] = char(uint8_t(out[bit / 8]) | 1 << bit % 8);
    }
    if (code != 256 && before >= 0) ++known;
    before = code == 256 ? -1 : code;
    const size_t next = code == 256 ? 9 : known >= size_t(1) << width ? width + 1 : width;
    if (code == 256) known = 257;
    if (next == width && code != 256) continue;
    while ((bit - group) % (8 * width) != 0) ++bit;
    group = bit, width = next;
    out.resize(bit / 8, '\0');
  }
  return out;
}

std::string file_of(const std::vector<std::string>& windows, uint32_t size = 65536) {
  std::string head = "EC02Compressed Data File", places, data;
  head.resize(84, '\0');
  const size_t begin = 84 + 8 + 4 * (windows.size() + 1);
  for (const std::string& w : windows) places += word(uint32_t(begin + data.size())), data += w;
  return head + word(size) + word(uint32_t(windows.size())) + places + word(uint32_t(begin + data.size())) +
         data;
}

std::vector<int> letters(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

TEST_CASE("kjv: codes of bytes, of strings, of the string being made, of more bits, and a cleared table") {
  CHECK(unpack_kjv(file_of({packed({'a', 257, 'b', 258, 259})}), "f") == "aaabaabba");
  CHECK(unpack_kjv(file_of({packed(letters("one ")), packed(letters("two"))}), "f") == "one two");
  std::string text;
  for (int i = 0; i < 3000; ++i) text += char('a' + i * i % 23);
  CHECK(unpack_kjv(file_of({packed(letters(text))}), "f") == text);  // 9 to 12 bits
  std::vector<int> twice = letters(text);
  twice.push_back(256);
  for (const int c : letters(text)) twice.push_back(c);
  CHECK(unpack_kjv(file_of({packed(twice)}), "f") == text + text);
}

TEST_CASE("kjv: damage is an error") {
  const std::string good = file_of({packed(letters("Ge1:1 In the beginning\n"))});
  for (size_t cut = 0; cut < 104; ++cut) CHECK_THROWS_AS(unpack_kjv(good.substr(0, cut), "f"), engine::Error);
  CHECK_THROWS_WITH(unpack_kjv("text", "f"), "f: not the data file of Debian's bible-kjv-text");
  CHECK_THROWS_WITH(unpack_kjv(file_of({packed({'a', 300})}), "f"), Contains("code 300 of 257"));
  CHECK_THROWS_WITH(unpack_kjv(file_of({packed({300})}), "f"), Contains("damaged"));
  CHECK_THROWS_WITH(unpack_kjv(file_of({packed(letters("abc"))}, 2), "f"), Contains("more than 2 bytes"));
}

TEST_CASE("kjv: a document a chapter, and nothing in the cache is run") {
  const TemporaryFolder cache;
  const std::string folder = cache / "kjv", root = folder + "/root", ran = cache / "ran";
  engine::make_directories(root + "/usr/bin");
  engine::make_directories(root + "/usr/lib");
  engine::write_file(folder + "/packages.txt", "bible-kjv-text 4.38\n");
  engine::write_file(root + "/usr/bin/bible", "#!/bin/sh\ntouch '" + ran + "'\n");
  std::filesystem::permissions(root + "/usr/bin/bible", std::filesystem::perms::owner_all);
  engine::write_file(
      root + "/usr/lib/bible.data",
      file_of({packed(letters("An edition.\nGe1:1 In the beginning\nGe1:2 And\nGe2:1 Thus\n1Sm1:1 Now\n"))}));
  std::string all;
  read_recipe(*find_recipe("kjv"), cache.path, [&](Document&& d) { all += d.where + "|" + d.text + "|"; });
  CHECK(
      all ==
      "kjv, Genesis 1|Genesis 1\n\nIn the beginning\nAnd\n|kjv, Genesis 2|Genesis 2\n\nThus\n|kjv, 1 Samuel "
      "1|1 Samuel 1\n\nNow\n|");
  CHECK_FALSE(engine::file_exists(ran));
  engine::write_file(root + "/usr/lib/bible.data", file_of({packed(letters("x\nXy1:1 What\n"))}));
  CHECK_THROWS_WITH(read_recipe(*find_recipe("kjv"), cache.path, [](Document&&) {}),
                    Contains("expected a verse") && Contains("Xy1:1 What"));
}
