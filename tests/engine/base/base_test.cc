// check(), text helpers, JSON readers, Philox and atomic files.
#include <sys/resource.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/philox.h"
#include "engine/base/text.h"

using namespace engine;
using Catch::Matchers::Contains;

TEST_CASE("check joins its parts into one message") {
  CHECK_NOTHROW(check(true, "never"));
  CHECK_THROWS_WITH(check(false, "width ", 7, " is odd"), "width 7 is odd");
}

TEST_CASE("nearest_word finds the spelling that was meant") {
  CHECK(nearest_word("norfmormer", {"pre_ln", "normformer", "hybridnorm"}) == "normformer");
  CHECK(nearest_word("x", {}) == "");
  CHECK(edit_distance("ab", "ba") == 1);
}

TEST_CASE("human units") {
  CHECK(human_bytes(1536) == "1.5 KiB");
  CHECK(human_bytes(12) == "12 B");
  CHECK(human_count(124377600) == "124.4M");
  CHECK(human_seconds(3725) == "1:02:05");
  CHECK(human_seconds(NAN) == "?");
}

TEST_CASE("json errors name the place and the nearest key") {
  CHECK_THROWS_WITH(parse_json("{\"a\": 1, \"a\": 2}", "x.json"), Contains("x.json") && Contains("twice"));
  CHECK_THROWS_WITH(parse_json("{", "x.json"), Contains("x.json"));
  CHECK_THROWS_WITH(check_keys(parse_json("{\"widht\": 1}", "c"), {"width", "heads"}, "c"),
                    Contains("\"width\""));
  CHECK_THROWS_WITH(json_int(parse_json("1.5", "c"), "c.n", 0, 9), Contains("integer"));
  CHECK(json_int(parse_json("2e0", "c"), "c.n", 0, 9) == 2);
  CHECK_THROWS_WITH(json_int(parse_json("12", "c"), "c.n", 0, 9), Contains("[0, 9]"));
  const auto text = [](const char* json) { return parse_json(json, "c"); };
  CHECK_THROWS_WITH(check_keys(text("[1]"), {"a"}, "c"), "c: expected a JSON object, got array");
  CHECK_THROWS_WITH(json_int(text("18446744073709551615"), "c.n", 0, 9), Contains("out of range"));
  CHECK_THROWS_WITH(json_number(text("\"1\""), "c.n"), "c.n: expected a number, got \"1\"");
  CHECK_THROWS_WITH(json_number(Json(INFINITY), "c.n"), "c.n: expected a finite number");
  CHECK_THROWS_WITH(json_bool(text("0"), "c.b"), "c.b: expected true or false, got 0");
  CHECK_THROWS_WITH(json_string(text("null"), "c.s"), "c.s: expected a string, got null");
  std::string deep(200, '[');
  CHECK_THROWS_WITH(parse_json(deep, "deep"), Contains("64"));
}

TEST_CASE("philox agrees with the published vectors") {
  // Random123's known-answer tests for philox4x32 with 10 rounds.
  const PhiloxBits zero = philox(0, 0, 0);
  CHECK(zero.word[0] == 0x6627e8d5u);
  CHECK(zero.word[1] == 0xe169c58du);
  CHECK(zero.word[2] == 0xbc57ac4cu);
  CHECK(zero.word[3] == 0x9b00dbd8u);
  const PhiloxBits ones = philox(~0ull, ~0ull, ~0ull);
  CHECK(ones.word[0] == 0x408f276du);
  CHECK(ones.word[3] == 0x6d5451fdu);
}

TEST_CASE("an Rng repeats from a copy and stays in range") {
  Rng a{42};
  Rng b = a;
  for (int i = 0; i < 100; ++i) {
    const double u = a.uniform();
    CHECK(u == b.uniform());
    CHECK((u >= 0 && u < 1));
    CHECK(a.below(7) == b.below(7));
  }
}

TEST_CASE("an atomic file appears whole or not at all") {
  const std::string folder = std::filesystem::temp_directory_path() / "normlab_base_test";
  std::filesystem::remove_all(folder);
  make_directories(folder);
  const std::string path = folder + "/a.bin";
  {
    AtomicFile f(path);
    f.write("half");
  }
  CHECK(std::filesystem::is_empty(folder));
  AtomicFile f(path);
  f.write("....body");
  f.write_at(0, "head", 4);
  f.commit();
  CHECK(read_file(path) == "headbody");
  CHECK_THROWS_WITH(read_file(path, 3), Contains("limit of 3"));
  CHECK_THROWS_WITH(read_file(folder), Contains("not a regular file"));
  CHECK_THROWS_WITH(AtomicFile("/nonexistent-folder/x"), Contains("/nonexistent-folder/x"));
  const std::string pipe = folder + "/pipe";  // or a device: the file must not take its place
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(AtomicFile(pipe), Contains("pipe: not a regular file"));
  CHECK_THROWS_WITH(make_directories(path + "/below"), Contains("a.bin/below: cannot create the folder"));
  AtomicFile onto_a_folder(folder);
  CHECK_THROWS_WITH(onto_a_folder.write_at(0, "x", 1), Contains("write_at past the end"));
  CHECK_THROWS_WITH(onto_a_folder.commit(), Contains("cannot move the finished file into place"));
  MappedFile map(path);
  CHECK(std::string(reinterpret_cast<const char*>(map.data()), map.size()) == "headbody");
  std::filesystem::remove_all(folder);
}

TEST_CASE("files that lie about their size, or cannot be mapped, are errors") {
  // The kernel says 4096 bytes of a file of its own that has fewer.
  const std::string path = "/sys/kernel/mm/transparent_hugepage/enabled";
  if (!std::filesystem::exists(path)) {
    WARN(path << " is not there: not tested");
    return;
  }
  CHECK_THROWS_WITH(read_file(path), Contains("enabled: became shorter while it was read"));
  CHECK_THROWS_WITH(MappedFile(path), Contains("enabled: cannot map 4096 bytes ("));
}

TEST_CASE("a Git LFS pointer in place of a file is named as one") {
  const std::string path = std::filesystem::temp_directory_path() / "normlab_lfs_pointer_test";
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 548105171\n";
  write_file(path, pointer);
  CHECK_THROWS_WITH(read_file(path), Contains(path + ": a Git LFS pointer") && Contains("git lfs pull"));
  CHECK_THROWS_WITH(read_json(path), Contains("Git LFS pointer"));
  CHECK_THROWS_WITH(MappedFile(path), Contains("Git LFS pointer"));
  write_file(path, "about a " + pointer);
  CHECK(read_file(path) == "about a " + pointer);
  write_file(path, pointer.substr(0, 20));
  CHECK(MappedFile(path).size() == 20);
  std::filesystem::remove(path);
}

TEST_CASE("a disk that is full is an error, and nothing is left behind") {
  // The limit on the size of files stands for the disk: write() fails in the same place, with EFBIG for
  // ENOSPC.
  const std::string folder = std::filesystem::temp_directory_path() / "normlab_full_disk_test";
  std::filesystem::remove_all(folder);
  make_directories(folder);
  const auto previous_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit previous{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &previous) == 0);
  const rlimit small{4096, previous.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string message;
  try {
    write_file(folder + "/model", std::string(10000, 'x'));
  } catch (const Error& e) {
    message = e.what();
  }
  setrlimit(RLIMIT_FSIZE, &previous);
  std::signal(SIGXFSZ, previous_handler);
  CHECK_THAT(message, Contains("/model: cannot write ("));
  CHECK(std::filesystem::is_empty(folder));
  std::filesystem::remove_all(folder);
}
