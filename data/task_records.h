// The files of evaluation tasks as records with named fields: JSON Lines, one JSON array, or CSV.
//
// Copies of a task differ in small things: Hugging Face's write a label as a string or a number, leave out
// the id, or give -1, null or "" where there is no answer. A Record reads all of them.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>

#include "engine/base/json.h"

namespace data {

struct Record {
  engine::Json object;
  std::string where;  // "val.jsonl:17", for messages

  using Names = std::initializer_list<const char*>;
  /// The value of the first of `names` that the record has, or null.
  const engine::Json* find(Names names) const;
  /// The same; an error where it has none of them, and in `text` where the value is no string.
  const engine::Json& at(Names names) const;
  std::string text(Names names) const;
  /// A whole number from `low` to `high`, as a number or as a string. -1: missing, null, "" or -1.
  int answer(Names names, int low, int high) const;
  /// The record's own name as text, else `index`.
  std::string id(Names names, size_t index) const;
};

/// Calls `visit` with each record of a file, one at a time: records take many times the room of their text.
/// Numbers in a CSV file are strings. Error: there is none.
void for_each_record(const std::string& path, const std::function<void(const Record&)>& visit);

}  // namespace data
