// Small text helpers for messages: the nearest valid word, sizes in human units, joined lists, and
// messages as a terminal may get them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace engine {

/// Edits (insert, delete, replace, swap of neighbours) that turn a into b.
int edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`; empty when there are no candidates.
std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates);
/// The same where it may be what was meant: a mistyped letter, and one more in four; or `word` is its
/// beginning. Else empty.
std::string near_word(std::string_view word, const std::vector<std::string>& candidates);
/// BEFORE, the near word, AFTER; where there is none, the candidates if they are few, else nothing.
std::string near_hint(std::string_view word, const std::vector<std::string>& candidates,
                      std::string_view before = " (nearest valid: \"", std::string_view after = "\")");

/// "a, b or c".
std::string one_of(const std::vector<std::string>& words);

/// `text` without anything that a terminal would obey: control characters, line and paragraph separators,
/// marks that turn the direction of writing, and bytes that are not UTF-8 become \n, \x1b, \u202e. Line feeds
/// and tabs stay where `keep` names them.
std::string printable(std::string_view text, std::string_view keep = {});
/// A message as it is shown: printable, on one line, and of some 2000 bytes at most. File names and the
/// contents of files may have brought anything; a longer text keeps both its ends.
std::string message_line(std::string_view text);

/// 1536 -> "1.5 KiB".
std::string human_bytes(double bytes);
/// 124377600 -> "124.4M".
std::string human_count(double count);
/// 3725 -> "1:02:05".
std::string human_seconds(double seconds);

}  // namespace engine
