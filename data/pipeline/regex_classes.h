// What Oniguruma's classes and properties are in PCRE2's words, as the content of a class: without its [].
// Read first: regex.h, case_folds.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/pipeline/case_folds.h"

namespace data {

/// \w and [:word:] are wider outside of a class.
enum class Place { in_class, outside };

bool equal_ignoring_case(std::string_view a, std::string_view b);

/// \s and \h.
const char* white_space();
const char* hexadecimal();
std::string word_characters(Place place);

/// The characters of a category (or its first letter) that PCRE2 may not know.
std::string newer(const std::string& category);

/// "alpha", "alnum", … with their content.
using PosixClasses = std::vector<std::pair<const char*, std::string>>;
const PosixClasses& posix_classes(Place place);

/// Whether it is the name of a script. \p{Han} is all characters of the script there; PCRE2's would be those
/// of other scripts too that are also used with it.
bool is_script(const std::string& name);
std::string script_class(const std::string& name);

/// Properties whose characters' other cases are in them too, so that (?i) changes nothing. In small letters.
bool same_in_both_cases(const std::string& name);

/// Of the characters with a long folding one that the class matches, so that Oniguruma has the class match
/// the folding too under (?i). It changes nothing where a class repeats that has each of the folding's
/// characters. nullptr: none. `expression`: the class with its [].
const LongFold* long_fold_of_class(const std::string& expression, bool repeats);

}  // namespace data
