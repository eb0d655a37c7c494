// HTML to prose, enough for documentation written by DocBook and Sphinx: paragraphs on one line each, code
// blocks as they are, no navigation, scripts, or tags. Not a browser: broken nesting is repaired by closing
// what is open.
#pragma once

#include <string>
#include <string_view>

namespace data {

/// The text of the element with role="main" where the page has one, else of its body.
std::string html_to_text(std::string_view html);

/// "&amp;" -> "&"; numeric forms too; an unknown name stays as it is.
std::string decode_entities(std::string_view text);

}  // namespace data
