// Read first: documents.h.
#include "data/documents.h"

#include <algorithm>
#include <filesystem>

#include "data/byte_source.h"
#include "data/html_text.h"
#include "engine/base/check.h"
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

using Reader = void (*)(const std::string&, const ReadOptions&, const std::function<void(Document&&)>&);
constexpr std::pair<const char*, Reader> kReaders[] = {
    {".jsonl", read_jsonl}, {".ndjson", read_jsonl}, {".html", read_html}, {".htm", read_html}};

}  // namespace

void read_documents(const std::string& path, const ReadOptions& options,
                    const std::function<void(Document&&)>& visit) {
  if (fs::is_directory(path)) {
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
  check(fs::exists(path), path, ": no such file or folder");
  if (!fs::is_directory(path)) return {path};
  std::vector<std::string> out;
  std::error_code error;
  for (fs::recursive_directory_iterator it(path, error), end; it != end; it.increment(error)) {
    check(!error, path, ": cannot list the folder (", error.message(), ")");
    if (it->path().filename().string().starts_with(".")) {
      if (it->is_directory()) it.disable_recursion_pending();
    } else if (it->is_regular_file()) {
      out.push_back(it->path().string());
    }
  }
  check(!error, path, ": cannot list the folder (", error.message(), ")");
  check(!out.empty(), path, ": no files in this folder");
  std::sort(out.begin(), out.end());
  return out;
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
