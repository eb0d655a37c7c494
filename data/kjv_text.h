// The King James Bible as Debian's bible-kjv-text keeps it (usr/lib/bible.data), read without the program
// that comes with it: what lies in a cache is data, never something to run.
#pragma once

#include <string>

namespace data {

/// The file's lines: one about the edition, then a verse a line, "Ge1:1 In the beginning ...". `what` names
/// the file in errors.
std::string unpack_kjv(const std::string& bytes, const std::string& what);

/// The full name of a book ("Genesis" for "Ge"); empty for what is none.
std::string kjv_book(const std::string& abbreviation);

}  // namespace data
