// Read first: command_pages.h.
#include "train/commands/command_pages.h"

#include <algorithm>
#include <sstream>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "train/commands/cli_help.h"
#include "train/config.h"

namespace train {
namespace {

struct Collector : UsageSink {
  void take(const Usage& usage) override { page.usage = usage, page.help = help_text(usage); }
  void take(const CommandTable& table) override { commands = table.commands, page.help = help_text(table); }
  CommandPage page;
  std::vector<Command> commands;
};

CommandPage collect(const Command& command, const std::string& program) {
  Collector collector;
  std::string name = command.name;
  char* argv[] = {name.data(), nullptr};
  set_usage_sink(&collector);
  try {
    command.run(1, argv);
  } catch (const HelpShown&) {
  } catch (...) {
    set_usage_sink(nullptr);
    throw;
  }
  set_usage_sink(nullptr);
  CommandPage page = std::move(collector.page);
  page.program = program + " " + command.name, page.summary = command.summary;
  for (const Command& child : collector.commands) page.children.push_back(collect(child, page.program));
  return page;
}

void gather(const CommandPage& page, std::vector<const CommandPage*>& out) {
  out.push_back(&page);
  for (const CommandPage& child : page.children) gather(child, out);
}

/// Text as roff: its escapes, and lines that would be requests.
std::string roff(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool line_start = i == 0 || text[i - 1] == '\n';
    if (line_start && (text[i] == '.' || text[i] == '\'')) out += "\\&";
    if (text[i] == '\\') {
      out += "\\e";
    } else if (text[i] == '-') {
      out += "\\-";
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string roff_item(const std::string& name, const std::string& text) {
  return ".TP\n\\fB" + roff(name) + "\\fR\n" + roff(text) + "\n";
}

std::string markdown_cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    if (c == '<') {
      out += "&lt;";
      continue;
    }
    out += c;
  }
  return out;
}

std::string synopsis(const CommandPage& page) {
  if (!page.children.empty()) return page.program + " COMMAND [ARGUMENTS]";
  std::string line = page.program;
  for (const Positional& p : page.usage.positionals) line += " " + positional_text(p);
  for (const Flag& flag : page.usage.flags) {
    const std::string text = flag_text(flag);
    line += flag.arity == Arity::required   ? " " + text
            : flag.arity == Arity::repeated ? " [" + text + " ...]"
                                            : " [" + text + "]";
  }
  return line;
}

}  // namespace

CommandPage command_pages(const CommandTable& table) {
  CommandPage root{.program = table.program, .summary = table.about, .usage = {}, .help = help_text(table), .children = {}};
  for (const Command& command : table.commands) root.children.push_back(collect(command, table.program));
  return root;
}

std::vector<const CommandPage*> all_pages(const CommandPage& root) {
  std::vector<const CommandPage*> out;
  gather(root, out);
  return out;
}

const CommandPage& find_page(const CommandPage& root, const std::vector<std::string>& words) {
  const CommandPage* page = &root;
  for (const std::string& word : words) {
    std::vector<std::string> names;
    const CommandPage* next = nullptr;
    for (const CommandPage& child : page->children) {
      names.push_back(child.program.substr(child.program.rfind(' ') + 1));
      if (names.back() == word) next = &child;
    }
    engine::check(next != nullptr, "no command \"", page->program, " ", word, "\"",
                  engine::near_hint(word, names, " (nearest: ", ")"));
    page = next;
  }
  return *page;
}

std::string page_name(const CommandPage& page) {
  std::string name = page.program;
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

std::string man_page(const CommandPage& page) {
  std::string name = page_name(page), title = name;
  std::transform(title.begin(), title.end(), title.begin(), [](char c) { return char(std::toupper(uint8_t(c))); });
  std::string out = ".TH " + title + " 1 \"\" \"normlab " NORMLAB_VERSION "\" \"NormLab\"\n.SH NAME\n" +
                    roff(name + " - " + page.summary) + "\n.SH SYNOPSIS\n.nh\n" + roff(synopsis(page)) + "\n.hy\n";
  if (!page.children.empty()) {
    out += ".SH COMMANDS\n";
    for (const CommandPage& child : page.children)
      out += roff_item(child.program.substr(page.program.size() + 1), child.summary);
  }
  if (!page.usage.positionals.empty() || !page.usage.flags.empty()) {
    out += ".SH OPTIONS\n";
    for (const Positional& p : page.usage.positionals) out += roff_item(p.name, p.help);
    for (const Flag& flag : page.usage.flags) out += roff_item(flag_text(flag), flag_help(flag));
  }
  if (!page.usage.notes.empty()) out += ".SH NOTES\n.nf\n" + roff(page.usage.notes) + "\n.fi\n";
  out +=
      ".SH EXIT STATUS\n0 done; 2 bad usage or input, with one line that says what, where and what was expected;\n"
      "130 stopped by a signal, with a checkpoint where there is one; 1 anything else.\n.SH SEE ALSO\n";
  const size_t space = page.program.rfind(' ');
  std::string also;
  if (space != std::string::npos) {
    std::string parent = page.program.substr(0, space);
    std::replace(parent.begin(), parent.end(), ' ', '-');
    also = parent + "(1)";
  }
  for (const CommandPage& child : page.children) also += (also.empty() ? "" : ", ") + page_name(child) + "(1)";
  return out + roff(also) + "\n";
}

std::string reference_markdown(const CommandPage& root) {
  std::string out =
      "# Reference: commands and configuration\n\n"
      "Written by `normlab help --markdown` from the tables that the program parses by; a test compares. Every command\n"
      "has `--help` and `--quiet`. Numbers may end in `k`, `M`, `G`; times in `s`, `m`, `h`, `d`.\n\n"
      "## Commands\n";
  for (const CommandPage* page : all_pages(root)) {
    if (page == &root) continue;
    out += "\n### " + page->program + "\n\n" + markdown_cell(page->summary) + "\n";
    if (!page->children.empty()) continue;
    out += "\n| | |\n|---|---|\n";
    for (const Positional& p : page->usage.positionals)
      out += "| `" + markdown_cell(positional_text(p)) + "` | " + markdown_cell(p.help) + " |\n";
    for (const Flag& flag : page->usage.flags)
      if (flag.name != "quiet") out += "| `" + markdown_cell(flag_text(flag)) + "` | " + markdown_cell(flag_help(flag)) + " |\n";
  }
  out += "\n## Keys of a training config\n\n| key | |\n|---|---|\n";
  for (const auto& [key, doc] : config_key_docs()) out += "| `" + key + "` | " + markdown_cell(doc) + " |\n";
  return out;
}

}  // namespace train
