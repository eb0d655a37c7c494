// Read first: documents.h.
#include "data/documents.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "data/byte_source.h"
#include "data/csv.h"
#include "data/html_text.h"
#include "data/json_record.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/json.h"

namespace data {
namespace {

using engine::check;
namespace fs = std::filesystem;

bool is_separator(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line == kSeparatorLine;
}

using Visit = std::function<void(Document&&)>;
constexpr char kByteOrderMark[] = "\xef\xbb\xbf";
constexpr size_t kMostLineBytes = size_t(1) << 30;
constexpr size_t kMostWholeBytes = size_t(1) << 30;  // of a JSON or CSV file; .jsonl is read line by line

std::string read_whole(const std::string& path, size_t most = kMostWholeBytes, Pipes pipes = Pipes::refused) {
  std::string text = read_all(*open_text(path, pipes), path, most);
  if (text.starts_with(kByteOrderMark)) text.erase(0, 3);
  return text;
}

/// The text of one JSON object.
Document document_of(const engine::Json& object, const std::string& field, const std::string& where) {
  check(object.is_object(), where, ": expected a JSON object, got ", object.type_name());
  const auto found = object.find(field);
  check(found != object.end(), where, ": no key \"", field, "\" (--field names another one)");
  return {found->is_null() ? "" : engine::json_string(*found, where + ": \"" + field + "\""), where};
}

/// JSON under the name of a text would become tokens of braces and keys.
void check_not_json(const std::string& first_line, const ReadOptions& options, const std::string& path) {
  if (!first_line.starts_with('{') && !first_line.starts_with('[')) return;
  engine::Json json;
  try {
    json = parse_record(first_line, path);
  } catch (const engine::Error&) {
    return;
  }
  const engine::Json& object = json.is_array() && !json.empty() ? json[0] : json;
  check(!object.is_object() || !object.contains(options.field), path, ": this is JSON, not text; ",
        path == "stdin"
            ? "--field " + options.field + " reads it as JSON Lines"
            : std::string("under a name that ends in .jsonl (a list: .json) its documents are read"));
}

void read_text(const std::string& path, const ReadOptions& options, const Visit& visit) {
  LineReader lines(path, kMostLineBytes, Pipes::allowed);
  Document document{.text = "", .where = lines.path() + ":1"};
  std::string line;
  bool separated = false;  // does a separator line stand right before this point?
  while (lines.next(line)) {
    if (lines.line_number() == 1) {
      if (line.starts_with(kByteOrderMark)) line.erase(0, 3);
      check_not_json(line, options, lines.path());
    }
    if (is_separator(line)) {
      visit(std::move(document));
      document = {.text = "", .where = lines.path() + ":" + std::to_string(lines.line_number() + 1)};
      separated = true;
      continue;
    }
    const size_t before = document.text.size();
    document.text += line;
    check_room(before, document.text.size(), document.where);
    if (lines.ended_with_newline()) document.text += '\n';
    separated = false;
  }
  if (!separated && lines.line_number() > 0) visit(std::move(document));
}

void read_jsonl(const std::string& path, const ReadOptions& options, const Visit& visit) {
  LineReader lines(path, kMostLineBytes, Pipes::allowed);
  std::string line;
  while (lines.next(line)) {
    if (lines.line_number() == 1 && line.starts_with(kByteOrderMark)) line.erase(0, 3);
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = lines.path() + ":" + std::to_string(lines.line_number());
    visit(document_of(parse_record(line, where), options.field, where));
  }
}

/// Does the first line hold an object of its own, and do others follow?
bool is_json_lines(std::string_view text, const std::string& path) {
  const size_t begin = text.find_first_not_of(" \t\r\n"), end = text.find('\n', begin);
  if (end == text.npos || text.find_first_not_of(" \t\r\n", end) == text.npos) return false;
  try {
    return text[begin] == '{' && parse_record(std::string(text.substr(begin, end - begin)), path).is_object();
  } catch (const engine::Error&) {
    return false;
  }
}

void read_json(const std::string& path, const ReadOptions& options, const Visit& visit) {
  std::string text = read_whole(path);
  if (is_json_lines(text, path)) return read_jsonl(path, options, visit);
  const engine::Json json = parse_record(std::move(text), path);
  if (!json.is_array()) return visit(document_of(json, options.field, path));
  for (size_t i = 0; i < json.size(); ++i)
    visit(document_of(json[i], options.field, path + ": item " + std::to_string(i + 1)));
}

void read_csv(const std::string& path, const ReadOptions& options, const Visit& visit) {
  const std::string text = read_whole(path);
  std::vector<std::string> header, fields;
  size_t at = 0, record = 0;
  check(read_csv_record(text, at, header, path), path, ": the file is empty");
  const auto column = std::find(header.begin(), header.end(), options.field) - header.begin();
  check(size_t(column) < header.size(), path, ": the first line names no column \"", options.field,
        "\" (--field names another one)");
  while (read_csv_record(text, at, fields, path)) {
    const std::string where = path + ": record " + std::to_string(++record);
    if (fields.size() == 1 && fields[0].empty() && header.size() > 1) continue;  // a blank line
    check(fields.size() == header.size(), where, " has ", fields.size(), " fields, the first line ",
          header.size());
    visit({std::move(fields[size_t(column)]), where});
  }
}

[[noreturn]] void refuse_tsv(const std::string& path, const ReadOptions&, const Visit&) {
  engine::fail(
      path,
      ": tab-separated values are not read as text; cut the text's column out (cut -f N) or write it "
      "as .csv or .jsonl");
}

void read_html(const std::string& path, const ReadOptions&, const Visit& visit) {
  visit({html_to_text(read_whole(path, size_t(256) << 20, Pipes::allowed)), path});
}

using Reader = void (*)(const std::string&, const ReadOptions&, const Visit&);
constexpr std::pair<const char*, Reader> kReaders[] = {
    {".jsonl", read_jsonl}, {".ndjson", read_jsonl}, {".json", read_json}, {".csv", read_csv},
    {".tsv", refuse_tsv},   {".html", read_html},    {".htm", read_html}};

/// The file's name in lower case, without the ending of a compressed file.
std::string plain_name(std::string name) {
  for (char& c : name) c = char(std::tolower(uint8_t(c)));
  for (const char* compressed : {".gz", ".zst", ".xz"})
    if (name.ends_with(compressed)) return name.substr(0, name.size() - std::string_view(compressed).size());
  return name;
}

/// `open`: the folders that hold this one, resolved. A link to one of them would never end.
void add_files_below(const std::string& folder, std::vector<std::string>& open,
                     std::vector<std::string>& out) {
  const std::string resolved = engine::resolved_path(folder);
  check(std::find(open.begin(), open.end(), resolved) == open.end(), folder,
        ": a link to a folder that holds it, ", resolved);
  open.push_back(resolved);
  for (const std::string& name : engine::list_folder(folder)) {
    const std::string path = (fs::path(folder) / name).string();
    if (name.starts_with(".")) continue;
    check(engine::file_exists(path), path,
          engine::is_link(path) ? ": a link that leads nowhere" : ": cannot be looked at");
    if (engine::is_directory(path))
      add_files_below(path, open, out);
    else if (engine::is_regular_file(path))
      out.push_back(path);
  }
  open.pop_back();
}

}  // namespace

void read_documents(const std::string& path, const ReadOptions& options,
                    const std::function<void(Document&&)>& visit) {
  if (engine::is_directory(path)) {
    for (const auto& file : files_below(path)) read_documents(file, options, visit);
    return;
  }
  if (path == "-" && options.stdin_is_jsonl) return read_jsonl(path, options, visit);
  const std::string name = plain_name(path);
  for (const auto& [ending, reader] : kReaders)
    if (name.ends_with(ending)) return reader(path, options, visit);
  read_text(path, options, visit);
}

std::vector<std::string> files_below(const std::string& path) {
  check(engine::file_exists(path), path, ": no such file or folder");
  if (!engine::is_directory(path)) return {path};
  std::vector<std::string> open, out;
  add_files_below(path, open, out);
  check(!out.empty(), path, ": no files in this folder");
  std::sort(out.begin(), out.end());
  return out;
}

void check_outside(const std::string& folder, const std::string& input) {
  if (!engine::is_directory(input)) return;
  std::string there = engine::absolute_path(folder), behind = "/";
  while (!engine::file_exists(there)) {
    const fs::path path(there);
    behind = "/" + path.filename().string() + behind, there = path.parent_path().string();
  }
  const std::string out = engine::resolved_path(there) + behind, in = engine::resolved_path(input) + "/";
  const bool found = out.starts_with(in) && out.find("/.", in.size() - 1) == out.npos;
  check(!found, folder, ": lies in the input ", input,
        ", of which every file is read; choose another folder");
}

bool holds_separator_line(const std::string& text) {
  const std::string_view separator = kSeparatorLine;
  for (size_t at = text.find(separator); at != text.npos; at = text.find(separator, at + 1)) {
    if (at > 0 && text[at - 1] != '\n') continue;
    const size_t end = at + separator.size(), carriage_return = end < text.size() && text[end] == '\r';
    if (end + carriage_return >= text.size() || text[end + carriage_return] == '\n') return true;
  }
  return false;
}

}  // namespace data
