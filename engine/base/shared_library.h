// A shared library that is looked for when it is needed, so that a program built with CUDA starts, and
// computes on the CPU, on a machine that has none of it.
#pragma once

#include <string>
#include <vector>

namespace engine {

/// Its code stays until the program ends, also when nobody has it any more: threads of its own may still run.
class SharedLibrary {
 public:
  SharedLibrary() = default;
  /// Opens the first of `names` that can be opened: with each folder of the environment's NORMLAB_CUDA_PATH
  /// (a list with colons) before it, then as the system finds it, then in CUDA's usual folder. Error: none
  /// can; says what was tried and what the system answered.
  explicit SharedLibrary(const std::vector<std::string>& names);
  ~SharedLibrary();
  SharedLibrary(SharedLibrary&& other) noexcept;
  SharedLibrary& operator=(SharedLibrary&& other) noexcept;

  /// As it was found.
  const std::string& path() const { return path_; }
  /// Error: the library has no such function; it is older than what this program was written for.
  template <class F>
  void find(F*& function, const char* name) const {
    function = reinterpret_cast<F*>(symbol(name));
  }

 private:
  void* symbol(const char* name) const;

  void* handle_ = nullptr;
  std::string path_;
};

}  // namespace engine
