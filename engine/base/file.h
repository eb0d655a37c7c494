// Files: reads of regular files with a size limit, memory maps, and writes that a crash cannot leave half
// done.
//
// An AtomicFile is written under a temporary name in the target's folder; commit() flushes it to disk,
// renames it over the target and flushes the folder, so that a reader sees the old file or the new one and
// never a part.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/temporary.h"

namespace engine {

/// An existing regular file, open for reading. Anything else is an Error at once, never a wait: a pipe
/// without a writer would not open, a device need not end. Every file that is read by its name is opened
/// here, but for texts that may come from a pipe (data/byte_source.h).
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  int descriptor() const { return fd_; }
  /// As it was when the file was opened.
  uint64_t size() const { return size_; }
  /// The next bytes, `most` at most; 0 at the end.
  size_t read(void* out, size_t most);

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

/// The whole file; an error when it is missing, unreadable or larger than max_bytes.
std::string read_file(const std::string& path, size_t max_bytes = size_t(4) << 30);
/// The file's first bytes, `most` at most, however large it is.
std::string read_file_start(const std::string& path, size_t most);
/// Writes through an AtomicFile.
void write_file(const std::string& path, std::string_view bytes);
bool file_exists(const std::string& path);
bool is_directory(const std::string& path);
/// Creates a folder and its parents.
void make_directories(const std::string& path);

/// A file being written. Every failure (disk full, say) is an Error that names the target; without commit()
/// the destructor removes the temporary file, and a program that was killed leaves one that the next program
/// to write into the folder removes (temporary.h).
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Overwrites bytes already written: a header whose fields are known only at the end.
  void write_at(uint64_t offset, const void* data, size_t bytes);
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }
  /// Puts all that was written on the disk, still under the temporary name. What makes several files flushes
  /// them all before it commits the first: then only the moves are left, and a full disk is known before.
  void flush();
  void commit();

 private:
  std::string path_;
  Temporary temporary_;
  uint64_t size_ = 0;
};

/// A read-only memory map of a whole file. Move-only.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace engine
