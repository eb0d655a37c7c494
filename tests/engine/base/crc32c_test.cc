// CRC-32C: RFC 3720's vectors (appendix B.4), the instruction against the table, and continuation.
#include "engine/base/crc32c.h"

#include <catch2/catch.hpp>
#include <string>

using engine::crc32c;
using engine::crc32c_table;

TEST_CASE("crc32c agrees with RFC 3720") {
  CHECK(crc32c(std::string(32, '\0').data(), 32) == 0x8a9136aau);
  CHECK(crc32c(std::string(32, '\xff').data(), 32) == 0x62a8ab43u);
  std::string rising(32, 0);
  for (int i = 0; i < 32; ++i) rising[size_t(i)] = char(i);
  CHECK(crc32c(rising.data(), 32) == 0x46dd794eu);
  CHECK(crc32c("123456789", 9) == 0xe3069283u);
  CHECK(crc32c("", 0) == 0);
}

TEST_CASE("crc32c: instruction and table agree at every length, parts continue") {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    CHECK(crc32c(text.data(), text.size()) == crc32c_table(text.data(), text.size()));
    const size_t half = text.size() / 2;
    CHECK(crc32c(text.data() + half, text.size() - half, crc32c(text.data(), half)) ==
          crc32c(text.data(), text.size()));
    text += char(i * 37);
  }
}
