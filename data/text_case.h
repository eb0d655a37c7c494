// Letter case and white space of valid UTF-8 as Python's strings have them. Evaluation tasks are scored on
// texts that Python programs made with str.capitalize, str.lower and str.strip; other rules give other
// tokens.
#pragma once

#include <string>
#include <string_view>

namespace data {

/// Without the white space at both ends, or at one. White space: Unicode's White_Space and U+001C to U+001F.
std::string_view strip(std::string_view text);
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);

/// The first character in title case, all others in lower case, by Unicode's full mappings ("ß" gives "Ss").
std::string capitalized(std::string_view text);
/// The first character in lower case, the others as they are.
std::string lower_first(std::string_view text);

}  // namespace data
