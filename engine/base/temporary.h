// Names for what is not finished: a file or folder is made as .NAME.tmp-PID-N beside its place, and moved
// there whole.
//
// Its maker holds a lock on it. A program that was killed has lost its locks, so that whoever makes the next
// temporary in that folder sees which ones are nobody's, and removes them. The dot keeps readers of whole
// folders from taking them for input.
#pragma once

#include <string>

namespace engine {

/// An open, locked file or folder that will have the name `path`. Its owner closes `fd` and removes or moves
/// `name`.
struct Temporary {
  std::string name;
  int fd = -1;
};

/// A file for writing, with the permissions that the file at `path` has, or those that new files get (umask).
Temporary temporary_file(const std::string& path);
Temporary temporary_folder(const std::string& path);

/// Is this the name, without folders, of a temporary?
bool is_temporary_name(const std::string& name);

/// A folder that is being filled: moved to its place by commit(), removed without.
class BuildFolder {
 public:
  explicit BuildFolder(std::string path);
  ~BuildFolder();
  BuildFolder(const BuildFolder&) = delete;
  BuildFolder& operator=(const BuildFolder&) = delete;

  const std::string& path() const { return temporary_.name; }
  /// Takes the place of what is there.
  void commit();

 private:
  std::string place_;
  Temporary temporary_;
};

}  // namespace engine
