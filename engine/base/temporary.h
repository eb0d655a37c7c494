// Names for what is not finished: a file is written as .NAME.tmp-PID-N beside its place, and moved there
// whole.
//
// Its maker holds a lock on it. A program that was killed has lost its locks, so that whoever makes the next
// temporary in that folder sees which ones are nobody's, and removes them. The dot keeps readers of whole
// folders from taking them for input.
#pragma once

#include <string>

namespace engine {

/// An open, locked file that will have the name `path`. Its owner closes `fd` and removes or moves
/// `name`.
struct Temporary {
  std::string name;
  int fd = -1;
};

/// A file for writing, with the permissions that the file at `path` has, or those that new files get (umask).
Temporary temporary_file(const std::string& path);

/// Is this the name, without folders, of a temporary?
bool is_temporary_name(const std::string& name);

}  // namespace engine
