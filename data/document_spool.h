// Documents that wait on the disk, because where each goes is known only when all have been read. Memory
// holds nothing of them but their sizes. Read first: engine/base/temporary.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace data {

/// A file without a name: nothing stays of it, however the program ends.
class DocumentSpool {
 public:
  /// The file is in `folder` or, while that does not exist, in the nearest folder above it. Errors (a full
  /// disk) name `folder`.
  explicit DocumentSpool(const std::string& folder);
  ~DocumentSpool();
  DocumentSpool(const DocumentSpool&) = delete;
  DocumentSpool& operator=(const DocumentSpool&) = delete;

  void add(std::string_view document);
  /// In bytes, of each document in order.
  const std::vector<size_t>& sizes() const { return sizes_; }
  /// Of all together.
  uint64_t bytes() const { return bytes_; }
  /// Calls visit(index, document) for each in order.
  void each(const std::function<void(size_t index, const std::string& document)>& visit) const;

 private:
  void flush();
  /// The bytes from `at` on, some of them, or of the end none.
  void read(uint64_t at, std::string& out) const;

  std::string folder_;
  int fd_ = -1;
  uint64_t written_ = 0;  // bytes in the file
  std::string buffer_;    // what follows them
  std::vector<size_t> sizes_;
  uint64_t bytes_ = 0;
};

}  // namespace data
