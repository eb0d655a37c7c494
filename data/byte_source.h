// Bytes of a file or stdin, a piece at a time; compressed ones (gzip, zstd, xz: told by their first bytes,
// not by the name) are expanded. Read next: decompress.h, file_kind.h.
#pragma once

#include <memory>
#include <string>

namespace data {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Appends some bytes to `out`; false at the end. Damage is an Error that names the file, and so is a file
  /// that was written to while it was read.
  virtual bool read(std::string& out) = 0;
};

/// Texts that a person names may come from a pipe, and are waited for. Everything else is a regular file: a
/// pipe there would be waited for in vain.
enum class Pipes { refused, allowed };

/// `path` "-" is stdin.
std::unique_ptr<ByteSource> open_bytes(const std::string& path, Pipes pipes = Pipes::refused);
/// The same of a text; an error when the first bytes are those of something else (file_kind.h).
std::unique_ptr<ByteSource> open_text(const std::string& path, Pipes pipes = Pipes::refused);
/// The file's own bytes, whatever they look like: for binary formats.
std::unique_ptr<ByteSource> open_plain_bytes(const std::string& path, Pipes pipes = Pipes::refused);

/// A text that is held whole has grown from `before` to `bytes`: an error that names it (`where`) when memory
/// is too short for it to double. Checked at 64 MiB, 128 MiB and so on.
void check_room(size_t before, size_t bytes, const std::string& where);

/// Everything a source has; an error above `max_bytes`, or when memory would not do.
std::string read_all(ByteSource& source, const std::string& what, size_t max_bytes = size_t(4) << 30);

/// Expands one zlib or gzip stream of at most `max_bytes`.
std::string inflate_bytes(const std::string& bytes, const std::string& what, size_t max_bytes);

/// Lines of a text without their '\n'; a line above `max_bytes` is an error.
class LineReader {
 public:
  explicit LineReader(const std::string& path, size_t max_bytes = size_t(1) << 30,
                      Pipes pipes = Pipes::refused);
  bool next(std::string& line);
  /// Did the line that next() gave last end in '\n'? Only the very last line may not.
  bool ended_with_newline() const { return ended_with_newline_; }
  /// 1 for the first line that next() gives.
  int64_t line_number() const { return line_number_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  size_t max_bytes_;
  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  size_t at_ = 0;
  int64_t line_number_ = 0;
  bool end_ = false, ended_with_newline_ = true;
};

}  // namespace data
