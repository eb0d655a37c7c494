// A fresh folder under the build tree that goes away with its owner.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>

struct TemporaryFolder {
  TemporaryFolder() {
    std::string pattern = BINARY_DIR "/test-XXXXXX";
    path = ::mkdtemp(pattern.data());
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
