// The generated part of docs/norm-book.md: an index, and every preset with its formula, its source,
// its text and its diagram. `normlab inspect --diagram-book docs/norm-book.md` brings the page up to date. Read first:
// diagram.h.
#pragma once

#include <string>

namespace models {

/// Markdown of every preset, drawn for twelve layers.
std::string diagram_book();

/// `page` with the lines between its two marks replaced by diagram_book(); an error when the marks are
/// missing.
std::string with_diagram_book(const std::string& page);

}  // namespace models
