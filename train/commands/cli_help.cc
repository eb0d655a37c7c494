// Read first: cli_help.h.
#include "train/commands/cli_help.h"

#include <algorithm>
#include <sstream>

namespace train {
namespace {

constexpr size_t page_width = 80;

/// Joins parts with spaces into lines of the page's width; lines after the first begin with `indent` spaces.
std::string wrap(const std::vector<std::string>& parts, size_t indent) {
  std::string out, line;
  for (const std::string& part : parts) {
    if (!line.empty() && line.size() + 1 + part.size() > page_width) {
      out += line + "\n";
      line = std::string(indent, ' ') + part;
    } else {
      line += (line.empty() ? "" : " ") + part;
    }
  }
  return out + line + "\n";
}

/// Notes as the page has them: lines that were wrapped at some other width become paragraphs again and are
/// wrapped at the page's. Indented lines, and those that stand by themselves, keep their beginnings.
std::string wrapped_notes(const std::string& notes) {
  constexpr size_t full_line = 60;  // a shorter line was ended on purpose
  std::vector<std::string> lines;
  std::istringstream in(notes);
  bool joins = false;
  for (std::string line; std::getline(in, line);) {
    const bool prose = !line.empty() && line[0] != ' ';
    if (prose && joins)
      lines.back() += " " + line;
    else
      lines.push_back(line);
    joins = prose && line.size() >= full_line && line.back() != ':';
  }
  std::string out;
  for (const std::string& line : lines) {
    if (line.size() <= page_width) {
      out += line + "\n";
      continue;
    }
    const size_t indent = std::min(line.find_first_not_of(' '), page_width / 3);
    std::vector<std::string> parts;
    std::istringstream words(line);
    for (std::string word; words >> word;)
      parts.push_back(parts.empty() ? std::string(indent, ' ') + word : word);
    out += wrap(parts, indent > 0 ? indent + 2 : 0);
  }
  return out;
}

}  // namespace

std::string positional_text(const Positional& p) {
  switch (p.count) {
    case Count::one: return p.name;
    case Count::optional: return "[" + p.name + "]";
    case Count::many: return p.name + "...";
    case Count::any: return "[" + p.name + "...]";
  }
  return p.name;
}

std::string flag_help(const Flag& flag) {
  std::string help = flag.help;
  if (flag.arity == Arity::required) help += " (required)";
  if (flag.arity == Arity::repeated) help += " (may be repeated)";
  if (!flag.fallback.empty()) help += " (default: " + flag.fallback + ")";
  return help;
}

std::string flag_text(const Flag& flag) {
  return "--" + flag.name + (flag.value.empty() ? "" : " " + flag.value);
}

std::string two_columns(const std::vector<std::pair<std::string, std::string>>& rows) {
  size_t column = 0;
  for (const auto& [left, right] : rows) column = std::max(column, left.size() + 4);
  column = std::min(column, page_width / 3);
  std::string out;
  for (const auto& [left, right] : rows) {
    std::string first = "  " + left;
    if (first.size() + 2 > column) {  // too long for its column: the right part starts on the next line
      out += first + "\n";
      first.clear();
    }
    first.resize(column - 1, ' ');
    std::vector<std::string> parts = {first};
    std::istringstream words(right);
    for (std::string word; words >> word;) {
      // "(default: 3)" and "[f32 or bf16]" stay on one line where they are short.
      constexpr size_t longest_group = 40;
      const char closing = word.starts_with("(default:") ? ')' : word.starts_with("[") ? ']' : 0;
      std::string more;
      while (closing != 0 && word.back() != closing && word.size() < longest_group && words >> more) word += " " + more;
      parts.push_back(word);
    }
    out += wrap(parts, column);
  }
  return out;
}

std::string help_text(const CommandTable& table) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Command& command : table.commands) rows.push_back({command.name, command.summary});
  return table.program + ": " + table.about + "\n\nusage: " + table.program + " COMMAND [ARGUMENTS]\n\n" +
         two_columns(rows) + "\n" + table.program + " COMMAND --help tells more.\n";
}

std::string help_text(const Usage& usage) {
  std::vector<std::string> line = {"usage:", usage.program};
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Positional& p : usage.positionals) {
    line.push_back(positional_text(p));
    rows.push_back({p.name, p.help});
  }
  for (const Flag& flag : usage.flags) {
    const std::string text = flag_text(flag);
    line.push_back(flag.arity == Arity::required   ? text
                   : flag.arity == Arity::repeated ? "[" + text + " ...]"
                                                   : "[" + text + "]");
    rows.push_back({text, flag_help(flag)});
  }
  rows.push_back({"--help", "this text"});
  std::vector<std::string> title;
  std::istringstream words(usage.program + ": " + usage.about);
  for (std::string word; words >> word;) title.push_back(word);
  return wrap(title, 2) + "\n" + wrap(line, 7) + "\n" + two_columns(rows) +
         (usage.notes.empty() ? "" : "\n" + wrapped_notes(usage.notes));
}

}  // namespace train
