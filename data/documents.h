// Text files as documents: what `normlab corpus` and `normlab prepare` read.
//
//   *.jsonl, *.ndjson  one JSON object a line; the document is its `field`
//   *.json             a list of such objects, one object, or JSON Lines
//   *.csv              the column that the first line calls `field`
//   *.html, *.htm      one document, tags removed (html_text.h)
//   anything else      text; a line that says only <|endoftext|> ends a document (the convention of
//   TinyStories and
//                      of many others); without such a line the file is one document
//
// Every kind may be compressed (.gz, .zst, .xz). What is not text is refused by its content (file_kind.h),
// and so is JSON under the name of a text. A folder is all its files, in the order of their names.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace data {

inline constexpr char kSeparatorLine[] = "<|endoftext|>";

struct Document {
  std::string text;
  std::string where;  // "a.jsonl:17", for messages
};

struct ReadOptions {
  std::string field = "text";   // of JSON objects, and the column of a CSV file
  bool stdin_is_jsonl = false;  // else text
};

/// Calls visit(document) for each document of `path` ("-": stdin) in order. An empty document is one too; a
/// null in place of a text is an empty one.
void read_documents(const std::string& path, const ReadOptions& options,
                    const std::function<void(Document&&)>& visit);

/// The files of a folder, below it and behind links too, sorted; a file itself. Names that begin with a dot
/// are skipped; a link that leads nowhere or to a folder that holds it is an error.
std::vector<std::string> files_below(const std::string& path);

/// Fails when `folder`, which is to be written, lies where files_below(input) would find its files.
void check_outside(const std::string& folder, const std::string& input);

/// Can this text stand in a text file whose documents are ended by separator lines?
bool holds_separator_line(const std::string& text);

}  // namespace data
