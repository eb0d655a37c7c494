// Read first: decompress.h.
#include "data/decompress.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace data {
namespace {

using engine::check;
constexpr size_t kPiece = size_t(1) << 20;
constexpr uint64_t kMostXzMemory = uint64_t(2) << 30;  // `xz -9` needs 65 MiB

class GzipSource : public ByteSource {
 public:
  GzipSource(std::string path, std::unique_ptr<ByteSource> inner)
      : path_(std::move(path)), inner_(std::move(inner)) {
    check(inflateInit2(&stream_, 15 + 32) == Z_OK, path_,
          ": zlib does not start");  // + 32: gzip or zlib header
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  bool read(std::string& out) override {
    const size_t before = out.size();
    while (out.size() == before) {
      if (at_ == input_.size() && !refill()) {
        check(between_members_, path_, ": truncated gzip data");
        return false;
      }
      if (between_members_)
        at_ = std::min(input_.find_first_not_of('\0', at_), input_.size());  // a tape's padding
      if (at_ < input_.size()) inflate_some(out);
    }
    return true;
  }

 private:
  bool refill() {
    input_.clear();
    at_ = 0;
    return inner_->read(input_);
  }
  void inflate_some(std::string& out) {
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data() + at_);
    stream_.avail_in = uInt(input_.size() - at_);
    stream_.next_out = reinterpret_cast<Bytef*>(piece_.data());
    stream_.avail_out = uInt(kPiece);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    at_ = input_.size() - stream_.avail_in;
    out.append(piece_, 0, kPiece - stream_.avail_out);
    between_members_ = status == Z_STREAM_END;
    if (between_members_) inflateReset(&stream_);  // gzip files may be joined end to end
    check(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR, path_, ": damaged gzip data (",
          stream_.msg ? stream_.msg : "zlib error", ")");
  }

  std::string path_;
  std::unique_ptr<ByteSource> inner_;
  z_stream stream_{};
  std::string input_, piece_ = std::string(kPiece, '\0');  // a file may have very many members of a few bytes
  size_t at_ = 0;
  bool between_members_ = false;
};

class ZstdSource : public ByteSource {
 public:
  ZstdSource(std::string path, std::unique_ptr<ByteSource> inner)
      : path_(std::move(path)), inner_(std::move(inner)), stream_(ZSTD_createDStream()) {
    check(stream_ != nullptr, path_, ": zstd does not start");
    // As `zstd --long=31` makes them: the largest window that there is.
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax,
                           ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound);
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }
  bool read(std::string& out) override {
    const size_t before = out.size();
    while (out.size() == before) {
      if (at_ == input_.size()) {
        input_.clear();
        at_ = 0;
        if (!inner_->read(input_)) {
          check(between_frames_, path_, ": truncated zstd data");
          return false;
        }
      }
      ZSTD_inBuffer in{input_.data(), input_.size(), at_};
      ZSTD_outBuffer to{piece_.data(), kPiece, 0};
      const size_t status = ZSTD_decompressStream(stream_, &to, &in);
      at_ = in.pos;
      out.append(piece_, 0, to.pos);
      check(!ZSTD_isError(status), path_, ": damaged zstd data (", ZSTD_getErrorName(status), ")");
      between_frames_ = status == 0;
    }
    return true;
  }

 private:
  std::string path_;
  std::unique_ptr<ByteSource> inner_;
  ZSTD_DStream* stream_;
  std::string input_, piece_ = std::string(kPiece, '\0');
  size_t at_ = 0;
  bool between_frames_ = false;
};

class XzSource : public ByteSource {
 public:
  XzSource(std::string path, std::unique_ptr<ByteSource> inner)
      : path_(std::move(path)), inner_(std::move(inner)) {
    check(lzma_stream_decoder(&stream_, kMostXzMemory, LZMA_CONCATENATED) == LZMA_OK, path_,
          ": liblzma does not start");
  }
  ~XzSource() override { lzma_end(&stream_); }
  bool read(std::string& out) override {
    const size_t before = out.size();
    while (out.size() == before && !finished_) {
      if (stream_.avail_in == 0 && !end_) {
        input_.clear();
        end_ = !inner_->read(input_);
        stream_.next_in = reinterpret_cast<const uint8_t*>(input_.data());
        stream_.avail_in = input_.size();
      }
      out.resize(before + kPiece);
      stream_.next_out = reinterpret_cast<uint8_t*>(out.data() + before);
      stream_.avail_out = kPiece;
      const lzma_ret status = lzma_code(&stream_, end_ ? LZMA_FINISH : LZMA_RUN);
      out.resize(out.size() - stream_.avail_out);
      finished_ = status == LZMA_STREAM_END;
      check(status != LZMA_MEMLIMIT_ERROR, path_, ": this xz data needs more than ", kMostXzMemory >> 20,
            " MiB to expand");
      check(status != LZMA_BUF_ERROR, path_, ": truncated xz data");
      check(status == LZMA_OK || finished_, path_, ": damaged xz data (liblzma's error ", int(status), ")");
    }
    return out.size() > before;
  }

 private:
  std::string path_;
  std::unique_ptr<ByteSource> inner_;
  lzma_stream stream_ = LZMA_STREAM_INIT;
  std::string input_;
  bool end_ = false, finished_ = false;
};

/// What pzstd begins its files with: one of 16 numbers, then the frame's size.
bool is_skippable_frame(std::string_view head) {
  return head.size() >= 4 && (uint8_t(head[0]) & 0xf0) == 0x50 && head.substr(1, 3) == "\x2a\x4d\x18";
}

}  // namespace

std::unique_ptr<ByteSource> inflated(const std::string& path, std::unique_ptr<ByteSource> inner) {
  return std::make_unique<GzipSource>(path, std::move(inner));
}

std::unique_ptr<ByteSource> decompressed(const std::string& path, std::string_view head,
                                         std::unique_ptr<ByteSource> inner) {
  using namespace std::string_view_literals;
  if (head.starts_with("\x1f\x8b")) return inflated(path, std::move(inner));
  if (head.starts_with("\x28\xb5\x2f\xfd") || is_skippable_frame(head))
    return std::make_unique<ZstdSource>(path, std::move(inner));
  if (head.starts_with("\xfd"
                       "7zXZ\0"sv))
    return std::make_unique<XzSource>(path, std::move(inner));
  return inner;
}

}  // namespace data
