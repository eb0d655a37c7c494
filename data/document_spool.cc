// Read first: document_spool.h.
#include "data/document_spool.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/stop.h"
#include "engine/base/temporary.h"

namespace data {
namespace {

using engine::check;
constexpr size_t kBlock = size_t(1) << 20;  // of one read or write

int open_without_name(const std::string& folder) {
  std::string place = folder;
  while (!engine::file_exists(place)) place = engine::folder_of(place);
  check(engine::is_directory(place), place, ": is there and no folder");
  const engine::Temporary made = engine::temporary_file(place + "/documents");
  engine::remove_file(made.name);
  return made.fd;
}

}  // namespace

DocumentSpool::DocumentSpool(const std::string& folder) : folder_(folder), fd_(open_without_name(folder)) {}

DocumentSpool::~DocumentSpool() { ::close(fd_); }

void DocumentSpool::add(std::string_view document) {
  sizes_.push_back(document.size());
  bytes_ += document.size();
  buffer_ += document;
  if (buffer_.size() >= kBlock) flush();
}

void DocumentSpool::flush() {
  for (size_t done = 0; done < buffer_.size();) {
    const ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    check(n > 0, folder_, ": cannot write what has been read so far (", std::strerror(errno), ")");
    done += size_t(n);
  }
  buffer_.clear();
}

void DocumentSpool::each(const std::function<void(size_t, const std::string&)>& visit) {
  flush();
  std::string block, document;
  size_t used = 0;  // of the block
  off_t at = 0;     // behind the block, in the file
  for (size_t i = 0; i < sizes_.size(); ++i) {
    engine::check_stop();
    document.clear();
    while (document.size() < sizes_[i]) {
      if (used == block.size()) {
        block.resize(kBlock), used = 0;
        ssize_t n;
        do n = ::pread(fd_, block.data(), kBlock, at);
        while (n < 0 && errno == EINTR);
        check(n > 0, folder_, ": cannot read again what was written (",
              n < 0 ? std::strerror(errno) : "it is cut off", ")");
        block.resize(size_t(n)), at += n;
      }
      const size_t take = std::min(sizes_[i] - document.size(), block.size() - used);
      document.append(block, used, take), used += take;
    }
    visit(i, document);
  }
}

}  // namespace data
