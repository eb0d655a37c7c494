// SHA-256 against FIPS 180-4's examples, and its independence of how the input is cut up.
#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

#include "engine/base/file.h"
#include "engine/base/sha256.h"

using namespace engine;
using Catch::Matchers::Contains;

TEST_CASE("sha256 agrees with the published examples") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_hex(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256 does not depend on how the bytes arrive") {
  std::string text;
  for (int i = 0; i < 300; ++i) text += char(i * 7);
  for (size_t length = 0; length <= text.size(); ++length) {
    Sha256 pieces;
    for (size_t i = 0; i < length; i += 13) pieces.update(text.substr(i, std::min<size_t>(13, length - i)));
    CHECK(pieces.finish_hex() == sha256_hex(text.substr(0, length)));
  }
}

TEST_CASE("sha256 of a file") {
  const std::string path = std::string(BINARY_DIR) + "/sha256_test.txt";
  write_file(path, "abc");
  CHECK(sha256_file(path) == sha256_hex("abc"));
  std::remove(path.c_str());
  CHECK_THROWS_WITH(sha256_file(path), Contains("cannot open"));
  CHECK_THROWS_WITH(sha256_file(BINARY_DIR), Contains("is a folder"));
}
