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
#include "engine/base/sha256.h"
#include "engine/base/text.h"
#include "temporary_folder.h"

using namespace engine;
using Catch::Matchers::Contains;

TEST_CASE("check joins its parts into one message") {
  CHECK_NOTHROW(check(true, "never"));
  CHECK_THROWS_WITH(check(false, "width ", 7, " is odd"), "width 7 is odd");
}

TEST_CASE("nearest_word finds the spelling that was meant") {
  CHECK(nearest_word("norfmormer", {"pre_ln", "normformer", "hybridnorm"}) == "normformer");
  CHECK(nearest_word("x", {}) == "");
  CHECK(near_word("norm", {"norm_eps", "norms", "nor"}) == "norms");
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

TEST_CASE("an object finds its keys by an index once there are many, and keeps their order") {
  std::string text = "{";
  for (int i = 0; i < 40000; ++i) text += "\"k" + std::to_string(i) + "\":{\"v\":" + std::to_string(i) + "},";
  text.back() = '}';
  Json json = parse_json(text, "many");  // looks at every key for every key would be 800 million
  CHECK(json.size() == 40000);
  CHECK(json["k39999"]["v"] == 39999);
  CHECK(json.dump() == text);
  CHECK_FALSE(json.contains("k40000"));
  const Json copy = json;
  json.erase("k7");
  json["k40000"] = 1;
  CHECK_FALSE(json.contains("k7"));
  CHECK(json["k8"]["v"] == 8);
  CHECK(json["k40000"] == 1);
  CHECK(copy["k7"]["v"] == 7);
  CHECK(copy != json);
  const Json moved = std::move(json);
  CHECK(moved.at("k39999")["v"] == 39999);
  text.insert(text.size() - 1, ",\"k123\":0");
  CHECK_THROWS_WITH(parse_json(text, "many"), "many: key \"k123\" appears twice");
}

TEST_CASE("nesting of 64 levels is read, of 65 refused") {
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  CHECK(parse_json(nested(64), "deep").dump() == nested(64));
  CHECK_THROWS_WITH(parse_json(nested(65), "deep"), "deep: nested deeper than 64 levels");
}

TEST_CASE("a message holds nothing that a terminal obeys") {
  CHECK(message_line("plain text, \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80") ==
        "plain text, \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
  CHECK(message_line("a\x1b[2Jb\nc\td\re\x7f") == "a\\x1b[2Jb\\nc\\td\\re\\x7f");
  CHECK(message_line("\xC2\x9B"
                     "2J \xE2\x80\xAE \xE2\x80\xA8") == "\\u009b2J \\u202e \\u2028");  // CSI as one code
  CHECK(message_line("\x9B \xC3 \xED\xA0\x80 \xC0\x9B") ==
        "\\x9b \\xc3 \\xed\\xa0\\x80 \\xc0\\x9b");  // not UTF-8
  CHECK(message_line(std::string("a\0b", 3)) == "a\\x00b");
  CHECK(printable("a\tb\x1b\n", "\n\t") == "a\tb\\x1b\n");
}

TEST_CASE("a message of megabytes keeps its ends") {
  const std::string long_name(10'000'000, 'k');
  const std::string line = message_line("unknown key \"" + long_name + "\" (nearest valid key: \"width\")");
  CHECK(line.size() < 2100);
  CHECK_THAT(line, Catch::Matchers::StartsWith("unknown key \"kkk") && Contains("9998") &&
                       Catch::Matchers::EndsWith("(nearest valid key: \"width\")"));
  std::string accents;  // a character is not cut in two
  for (int i = 0; i < 3000; ++i) accents += "\xC3\xA9";
  CHECK_THAT(message_line("x" + accents), !Contains("\\x"));
  CHECK_THAT(message_line(accents), !Contains("\\x"));
}

TEST_CASE("only a regular file is opened, and at once") {
  const TemporaryFolder folder;
  const std::string pipe = folder / "pipe", text = folder / "text";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(read_file(pipe),
                    pipe + ": not a regular file");  // without a writer: it would wait for ever
  CHECK_THROWS_WITH(MappedFile(pipe), pipe + ": not a regular file");
  CHECK_THROWS_WITH(sha256_file(pipe), pipe + ": not a regular file");
  CHECK_THROWS_WITH(read_json(pipe), pipe + ": not a regular file");
  CHECK_THROWS_WITH(read_file_start(folder.path, 9), folder.path + ": is a folder, not a regular file");
  CHECK_THROWS_WITH(read_file("/dev/zero"), "/dev/zero: not a regular file");
  write_file(text, "0123456789");
  CHECK(read_file_start(text, 4) == "0123");
  CHECK(read_file_start(text, 40) == "0123456789");
  std::filesystem::resize_file(text, uintmax_t(3) << 40);  // sparse: 3 TiB
  CHECK(read_file_start(text, 4) == "0123");
  CHECK_THROWS_WITH(read_file(text), Contains("more than the limit"));
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
  CHECK_THROWS_WITH(onto_a_folder.commit(),
                    Contains("cannot move the finished file into place (Is a directory)"));
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
