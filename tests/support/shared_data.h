// Where tests find the reference data that lies beside the repository (published vectors, task files, oracle
// outputs). It is not part of the repository: a test that needs it returns when shared_path() gives "".
//
//   const std::string path = shared_path("data/gpt2-bpe");
//   if (path.empty()) return;
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

/// The path of `relative` below $NORMLAB_SHARED or, without it, below SOURCE_DIR/../shared. When there is no
/// such file it prints one line that says so and returns "".
inline std::string shared_path(const std::string& relative) {
  const char* set = std::getenv("NORMLAB_SHARED");
  const std::string root = set != nullptr && *set != 0 ? set : SOURCE_DIR "/../shared";
  const std::string path = root + "/" + relative;
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return path;
  std::fprintf(stderr, "SKIPPED: %s is not there (set NORMLAB_SHARED to the folder that holds it)\n",
               path.c_str());
  return "";
}
