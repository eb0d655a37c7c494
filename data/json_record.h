// JSON as Python programs write it: what json.dumps makes beyond JSON itself is read too. NaN, Infinity and
// -Infinity are null, and half of a surrogate pair (\ud83d alone) is U+FFFD, as decoders replace it.
#pragma once

#include <string>

#include "engine/base/json.h"

namespace data {

/// Parses one value; `where` names it in errors ("a.jsonl:17"). The text must be valid UTF-8.
engine::Json parse_record(std::string text, const std::string& where);

}  // namespace data
