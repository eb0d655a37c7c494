// Small text helpers for messages: the nearest valid word, sizes in human units, joined lists.
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

/// "a, b or c".
std::string one_of(const std::vector<std::string>& words);

/// 1536 -> "1.5 KiB".
std::string human_bytes(double bytes);
/// 124377600 -> "124.4M".
std::string human_count(double count);
/// 3725 -> "1:02:05".
std::string human_seconds(double seconds);

}  // namespace engine
