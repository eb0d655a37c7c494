// Read first: documents.h.
#include "data/documents.h"

#include <algorithm>
#include <filesystem>

#include "data/byte_source.h"
#include "data/html_text.h"
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

void read_text(const std::string& path, const ReadOptions&, const std::function<void(Document&&)>& visit) {
  LineReader lines(path);
  Document document{.where = lines.path() + ":1"};
  std::string line;
  bool separated = false;  // does a separator line stand right before this point?
  while (lines.next(line)) {
    if (is_separator(line)) {
      visit(std::move(document));
      document = {.where = lines.path() + ":" + std::to_string(lines.line_number() + 1)};
      separated = true;
      continue;
    }
    document.text += line;
    if (lines.ended_with_newline()) document.text += '\n';
    separated = false;
  }
  if (!separated && lines.line_number() > 0) visit(std::move(document));
}

void read_jsonl(const std::string& path, const ReadOptions& options,
                const std::function<void(Document&&)>& visit) {
  LineReader lines(path);
  std::string line;
  while (lines.next(line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = lines.path() + ":" + std::to_string(lines.line_number());
    const engine::Json object = engine::parse_json(line, where);
    check(object.is_object(), where, ": expected a JSON object on every line, got ", object.type_name());
    check(object.contains(options.field), where, ": no key \"", options.field,
          "\" (--field names another one)");
    visit({engine::json_string(object[options.field], where + ": \"" + options.field + "\""), where});
  }
}

void read_html(const std::string& path, const ReadOptions&, const std::function<void(Document&&)>& visit) {
  visit({html_to_text(read_all(*open_bytes(path), path, size_t(256) << 20)), path});
}

void add_files_below(const std::string& folder, std::vector<std::string>& out) {
  for (const std::string& name : engine::list_folder(folder)) {
    const std::string path = (fs::path(folder) / name).string();
    if (name.starts_with(".")) continue;
    if (engine::is_regular_file(path))
      out.push_back(path);
    else if (!engine::is_link(path) && engine::is_directory(path))
      add_files_below(path, out);
  }
}

using Reader = void (*)(const std::string&, const ReadOptions&, const std::function<void(Document&&)>&);
constexpr std::pair<const char*, Reader> kReaders[] = {
    {".jsonl", read_jsonl}, {".ndjson", read_jsonl}, {".html", read_html}, {".htm", read_html}};

}  // namespace

void read_documents(const std::string& path, const ReadOptions& options,
                    const std::function<void(Document&&)>& visit) {
  if (engine::is_directory(path)) {
    for (const auto& file : files_below(path)) read_documents(file, options, visit);
    return;
  }
  if (path == "-" && options.stdin_is_jsonl) return read_jsonl(path, options, visit);
  std::string name = path;
  for (const char* compressed : {".gz", ".zst"})
    if (name.ends_with(compressed)) name.resize(name.size() - std::string_view(compressed).size());
  for (const auto& [ending, reader] : kReaders)
    if (name.ends_with(ending)) return reader(path, options, visit);
  read_text(path, options, visit);
}

std::vector<std::string> files_below(const std::string& path) {
  check(engine::file_exists(path), path, ": no such file or folder");
  if (!engine::is_directory(path)) return {path};
  std::vector<std::string> out;
  add_files_below(path, out);
  check(!out.empty(), path, ": no files in this folder");
  std::sort(out.begin(), out.end());
  return out;
}

bool holds_separator_line(const std::string& text) {
  for (size_t at = text.find(kSeparatorLine); at != std::string::npos;
       at = text.find(kSeparatorLine, at + 1)) {
    const size_t begin = text.rfind('\n', at) == std::string::npos ? 0 : text.rfind('\n', at) + 1;
    const size_t end = std::min(text.find('\n', at), text.size());
    if (is_separator(std::string_view(text).substr(begin, end - begin))) return true;
  }
  return false;
}

}  // namespace data
