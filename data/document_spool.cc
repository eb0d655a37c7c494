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
constexpr size_t kBuffer = size_t(16) << 20, kBlock = size_t(1) << 20;

/// `folder` itself, or the nearest above it that is there.
std::string existing_folder(const std::string& folder) {
  std::string place = folder;
  while (!engine::file_exists(place)) place = engine::folder_of(place);
  check(engine::is_directory(place), place, ": is there and no folder");
  return place;
}

}  // namespace

DocumentSpool::DocumentSpool(const std::string& folder) : folder_(folder) { existing_folder(folder); }

DocumentSpool::~DocumentSpool() {
  if (fd_ >= 0) ::close(fd_);
}

void DocumentSpool::add(std::string_view document) {
  sizes_.push_back(document.size());
  bytes_ += document.size();
  buffer_ += document;
  if (buffer_.size() >= kBuffer) flush();
}

void DocumentSpool::flush() {
  if (fd_ < 0) {
    const engine::Temporary made = engine::temporary_file(existing_folder(folder_) + "/documents");
    engine::remove_file(made.name);
    fd_ = made.fd;
  }
  for (size_t done = 0; done < buffer_.size();) {
    const ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    check(n > 0, folder_, ": cannot write there what has been read so far (", std::strerror(errno), ")");
    done += size_t(n);
  }
  written_ += buffer_.size();
  buffer_.clear();
}

void DocumentSpool::read(uint64_t at, std::string& out) const {
  if (at >= written_) {
    out.assign(buffer_, std::min<uint64_t>(at - written_, buffer_.size()), kBlock);
    return;
  }
  out.resize(size_t(std::min<uint64_t>(kBlock, written_ - at)));
  ssize_t n;
  do n = ::pread(fd_, out.data(), out.size(), off_t(at));
  while (n < 0 && errno == EINTR);
  check(n > 0, folder_, ": cannot read again what was written there (",
        n < 0 ? std::strerror(errno) : "it is cut off", ")");
  out.resize(size_t(n));
}

void DocumentSpool::each(const std::function<void(size_t, const std::string&)>& visit) const {
  std::string block, document;
  size_t used = 0;  // of the block
  uint64_t at = 0;  // behind the block
  for (size_t i = 0; i < sizes_.size(); ++i) {
    engine::check_stop();
    document.clear();
    while (document.size() < sizes_[i]) {
      if (used == block.size()) read(at, block), at += block.size(), used = 0;
      const size_t take = std::min(sizes_[i] - document.size(), block.size() - used);
      document.append(block, used, take), used += take;
    }
    visit(i, document);
  }
}

}  // namespace data
