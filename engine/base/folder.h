// Folders and what is in them: listing, removing, moving, locking. The one place that asks the file system
// about names: std::filesystem throws exceptions of its own for loops of links and names that are too long,
// and here such a name is an Error, or an entry that is not there. (std::filesystem::path, as a tool for
// texts, is used freely.)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace engine {

/// The names in a folder, sorted, without "." and "..".
std::vector<std::string> list_folder(const std::string& path);
/// Links are followed: a file behind one is a file. False for whatever cannot be looked at.
bool is_regular_file(const std::string& path);
bool is_link(const std::string& path);
uint64_t file_size(const std::string& path);
/// Whether both names lead to one file or folder.
bool same_file(const std::string& a, const std::string& b);
/// The path from the root on, without "." and "..".
std::string absolute_path(const std::string& path);

/// The same without links; an Error where it leads nowhere.
std::string resolved_path(const std::string& path);

void move_path(const std::string& from, const std::string& to);
/// Remove what is there, as far as that goes: for what nobody will miss.
void remove_file(const std::string& path) noexcept;
void remove_tree(const std::string& path) noexcept;

/// Whether `name` names a file of the folder it is joined to, and leads nowhere else.
bool is_plain_file_name(const std::string& name);
/// Where programs put what they need for a while: $TMPDIR, or /tmp.
std::string temporaries_folder();
/// The folder that `path` is in: "." when it has no other.
std::string folder_of(const std::string& path);

/// While it lives, no other process has a lock on this folder; an Error when one has it already. The kernel
/// ends it with the process, however that ends, and nothing stays on disk. (Where a file system has no locks,
/// such as some over a network, there is none, and no error.)
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace engine
