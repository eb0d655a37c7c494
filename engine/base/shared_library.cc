// Read first: shared_library.h.
#include "engine/base/shared_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <sstream>
#include <utility>

#include "engine/base/check.h"

namespace engine {
namespace {

std::vector<std::string> places(const std::vector<std::string>& names) {
  std::vector<std::string> folders;
  if (const char* list = std::getenv("NORMLAB_CUDA_PATH")) {
    std::istringstream parts(list);
    for (std::string folder; std::getline(parts, folder, ':');)
      if (!folder.empty()) folders.push_back(folder + "/");
  }
  folders.push_back("");
  folders.push_back("/usr/local/cuda/lib64/");
  std::vector<std::string> out;
  for (const std::string& name : names) {
    if (name.find('/') != std::string::npos) {
      out.push_back(name);
      continue;
    }
    for (const std::string& folder : folders) out.push_back(folder + name);
  }
  return out;
}

}  // namespace

SharedLibrary::SharedLibrary(const std::vector<std::string>& names) {
  std::string tried;
  for (const std::string& place : places(names)) {
    handle_ = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle_) {
      path_ = place;
      return;
    }
    tried += (tried.empty() ? "" : ", ") + place;
  }
  const char* answer = dlerror();
  fail("tried ", tried, " (", answer ? answer : "no reason given", ")");
}

SharedLibrary::~SharedLibrary() {
  if (handle_) dlclose(handle_);
}
SharedLibrary::SharedLibrary(SharedLibrary&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), path_(std::move(other.path_)) {}
SharedLibrary& SharedLibrary::operator=(SharedLibrary&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(path_, other.path_);
  return *this;
}

void* SharedLibrary::symbol(const char* name) const {
  void* found = dlsym(handle_, name);
  check(found != nullptr, path_, " has no ", name, ": it is another version than this program needs");
  return found;
}

}  // namespace engine
