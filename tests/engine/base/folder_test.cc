// Folders and temporaries: names that the file system refuses, locks, permissions, and what killed programs
// leave.
#include "engine/base/folder.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/stop.h"
#include "engine/base/temporary.h"
#include "temporary_folder.h"

using namespace engine;
using Catch::Matchers::Contains;

namespace {

mode_t mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777;
}

/// Runs `work` in a child that kills itself at its end, with everything that it holds still open.
template <class Work>
void in_a_killed_child(const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));
}

}  // namespace

TEST_CASE("names that lead nowhere are answers or errors, not exceptions of the library") {
  const TemporaryFolder folder;
  const std::string loop = folder / "loop", longest = folder / std::string(5000, 'x'),
                    raw = folder / "caf\xe9";
  REQUIRE(::symlink("loop", loop.c_str()) == 0);
  write_file(raw, "x");
  for (const std::string& path : {loop, longest, folder / "none", loop + "/below"}) {
    CHECK_FALSE(file_exists(path));
    CHECK_FALSE(is_directory(path));
    CHECK_FALSE(is_regular_file(path));
    CHECK_FALSE(same_file(path, path));
    CHECK_THROWS_AS(list_folder(path), Error);
    CHECK_THROWS_AS(file_size(path), Error);
    CHECK_THROWS_AS(read_file(path), Error);
    remove_tree(path + "/below");
  }
  CHECK_THROWS_AS(move_path(folder / "none", folder / "there"), Error);
  CHECK_THROWS_AS(make_directories(loop), Error);
  CHECK_THROWS_AS(AtomicFile(longest + "/x"), Error);
  CHECK_THROWS_AS(FolderLock(loop), Error);
  CHECK(is_link(loop));
  CHECK(list_folder(folder.path) == std::vector<std::string>{"caf\xe9", "loop"});
  CHECK(file_size(raw) == 1);
}

TEST_CASE("a plain file name leads to no other folder") {
  CHECK(is_plain_file_name("train.txt"));
  CHECK(is_plain_file_name("..x"));
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("../x"),
                                  std::string("/x"), std::string("a/b"), std::string("a\0b", 3)})
    CHECK_FALSE(is_plain_file_name(name));
}

TEST_CASE("a folder has one lock, and a killed program has none") {
  const TemporaryFolder folder;
  in_a_killed_child([&] { new FolderLock(folder.path); });
  const FolderLock lock(folder.path);
  CHECK_THROWS_WITH(FolderLock(folder.path), Contains("another process is writing into this folder"));
  CHECK(list_folder(folder.path).empty());
}

TEST_CASE(
    "what a killed program was writing goes with the next write into the folder, what others write stays") {
  const TemporaryFolder folder;
  in_a_killed_child([&] {
    (new AtomicFile(folder / "a"))->write("half");
    make_directories((new BuildFolder(folder / "b"))->path() + "/deep/er");
  });
  CHECK(list_folder(folder.path).size() == 2);
  for (const std::string& name : list_folder(folder.path)) CHECK(is_temporary_name(name));
  AtomicFile mine(folder / "c");
  CHECK(list_folder(folder.path).size() == 1);
  write_file(folder / ".c.tmp-1", "a name that only looks like one");
  write_file(folder / "d", "x");
  CHECK(list_folder(folder.path).size() == 3);
  mine.write("whole");
  mine.commit();
  CHECK(list_folder(folder.path) == std::vector<std::string>{".c.tmp-1", "c", "d"});
  CHECK(read_file(folder / "c") == "whole");
}

TEST_CASE("the names of temporaries") {
  CHECK(is_temporary_name(".x.tmp-12-0"));
  for (const char* name :
       {"x.tmp-12-0", ".x.tmp-", ".x.tmp-12", ".x.tmp-12-", ".x.tmp--1", ".x.tmp-a-1", ".x", ""})
    CHECK_FALSE(is_temporary_name(name));
}

TEST_CASE("a file may have the longest name that there is") {
  const TemporaryFolder folder;
  write_file(folder / std::string(255, 'n'), "x");
  CHECK(list_folder(folder.path) == std::vector<std::string>{std::string(255, 'n')});
}

TEST_CASE("new files have the permissions that the user asked for, replaced ones those that they had") {
  const TemporaryFolder folder;
  const mode_t before = ::umask(077);
  write_file(folder / "secret", "x");
  make_directories(folder / "below");
  ::umask(022);
  write_file(folder / "open", "x");
  write_file(folder / "secret", "y");
  ::umask(before);
  CHECK(mode_of(folder / "secret") == 0600);
  CHECK(mode_of(folder / "below") == 0700);
  CHECK(mode_of(folder / "open") == 0644);
}

TEST_CASE("a built folder appears whole or not at all") {
  const TemporaryFolder folder;
  {
    const BuildFolder dropped(folder / "place");
    write_file(dropped.path() + "/x", "1");
  }
  CHECK(list_folder(folder.path).empty());
  make_directories(folder / "place/old");
  BuildFolder kept(folder / "place");
  write_file(kept.path() + "/x", "2");
  kept.commit();
  CHECK(list_folder(folder.path) == std::vector<std::string>{"place"});
  CHECK(list_folder(folder / "place") == std::vector<std::string>{"x"});
}

TEST_CASE("a wait for a silent pipe ends when the program is to stop") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  char byte = 0;
  REQUIRE(::write(ends[1], "x", 1) == 1);
  CHECK(read_or_stop(ends[0], &byte, 1, "pipe") == 1);
  request_stop();
  CHECK_THROWS_AS(read_or_stop(ends[0], &byte, 1, "pipe"), Stopped);
  clear_stop();
  ::close(ends[1]);
  CHECK(read_or_stop(ends[0], &byte, 1, "pipe") == 0);
  ::close(ends[0]);
  CHECK_THROWS_AS(read_or_stop(ends[0], &byte, 1, "pipe"), Error);
}

TEST_CASE("JSON text of what is not UTF-8") {
  const Json json = {{"path", "caf\xe9"}};
  CHECK(json_text(json) == "{\"path\":\"caf\xef\xbf\xbd\"}");
  CHECK(ascii_json_text(json) == "{\"path\":\"caf\\ufffd\"}");
  CHECK_THROWS_WITH(exact_json_text(json, "x.json"), Contains("x.json: a text in it is not UTF-8"));
  CHECK(exact_json_text(Json{{"a", 1}}, "x.json", 1) == "{\n \"a\": 1\n}");
}
