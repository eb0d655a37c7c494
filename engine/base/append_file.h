// A file that grows while a program runs, a record at a time: logs and metrics.
//
// A disk that is full for a while costs nothing of it: what cannot be written waits in memory, and every
// later write begins with it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace engine {

class AppendFile {
 public:
  /// Creates the file where needed and cuts it to `keep` bytes. An Error for what is no regular file.
  AppendFile(std::string path, uint64_t keep);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// An Error only when more is waiting than memory should hold.
  void write(std::string_view bytes);
  /// Why bytes are waiting; empty when none are.
  const std::string& trouble() const { return trouble_; }
  /// Asks for what was written to reach the disk.
  void sync();
  /// Tries once more; an Error when bytes are waiting still.
  void finish();
  const std::string& path() const { return path_; }

 private:
  void write_waiting();

  std::string path_, waiting_, trouble_;
  int fd_ = -1;
};

}  // namespace engine
