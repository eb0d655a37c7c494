// gzip, zstd and xz, told by their first bytes and expanded a piece at a time. Read first: byte_source.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "data/byte_source.h"

namespace data {

/// What `inner` expands to, if its first bytes `head` are those of a compressed file; else `inner` itself.
/// `inner` still gives the head. Errors name `path`.
std::unique_ptr<ByteSource> decompressed(const std::string& path, std::string_view head,
                                         std::unique_ptr<ByteSource> inner);

/// zlib or gzip, whatever the first bytes are.
std::unique_ptr<ByteSource> inflated(const std::string& path, std::unique_ptr<ByteSource> inner);

}  // namespace data
