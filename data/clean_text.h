// Cleaning of text before it is split and tokenized: UTF-8 checked, Unicode form NFC, line ends '\n', no
// control characters, no white space at line ends, at most one blank line in a row, exactly one '\n' at the
// end.
#pragma once

#include <string>
#include <string_view>

namespace data {

enum class InvalidUtf8 { fail, replace };  // replace: by U+FFFD, as decoders do

/// `text` as valid UTF-8. `where` names the text in the error, which says at which byte it breaks.
std::string checked_utf8(std::string text, InvalidUtf8 invalid, const std::string& where);

/// All of the above; "" when nothing but white space is left.
std::string clean_text(std::string text, InvalidUtf8 invalid, const std::string& where);

/// Joins the lines of each paragraph into one (text that was wrapped at a column). Indented lines stay lines.
std::string unwrap_paragraphs(std::string_view text);

}  // namespace data
