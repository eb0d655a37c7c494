// A fresh folder that goes away with its owner: in the build tree, or where NORMLAB_TEST_FOLDER says, for a
// machine that has none.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string>

struct TemporaryFolder {
  TemporaryFolder() {
    const char* set = std::getenv("NORMLAB_TEST_FOLDER");
    std::string pattern = std::string(set ? set : BINARY_DIR) + "/test-XXXXXX";
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("cannot make " + pattern);
    path = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return path + "/" + name; }

  size_t files() const {
    return size_t(std::distance(std::filesystem::directory_iterator(path), std::filesystem::directory_iterator{}));
  }

  std::string path;
};
