// Is a file text? Files of other kinds stand beside texts, or are given by mistake; read as text, their bytes
// would become tokens, and nobody would be told.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace data {

/// How much of a file is looked at.
inline constexpr size_t kSampledBytes = size_t(64) << 10;

/// Fails unless `head`, the first bytes of `path`, may begin a text: the message says what the file is, as
/// far as its bytes tell, and what to do about it. Text may have any encoding without NUL bytes, and a few
/// control characters.
void check_is_text(std::string_view head, const std::string& path);

}  // namespace data
