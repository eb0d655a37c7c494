// All commands and sub-commands as data, gathered from the tables that they are parsed by (cli.h: UsageSink), and
// what is generated from that: man pages, docs/reference.md, and the completions of three shells
// (completion.h).
#pragma once

#include <string>
#include <vector>

#include "train/commands/cli.h"

namespace train {

/// One command: with sub-commands (children), or with flags and positionals (usage).
struct CommandPage {
  std::string program;  // "normlab bench gemm"
  std::string summary;
  Usage usage;
  std::string help;  // what --help prints
  std::vector<CommandPage> children;
};

/// The commands of normlab: the table of main.cc.
CommandTable normlab_commands();
/// The tree below a table.
CommandPage command_pages(const CommandTable& table);
/// Every page of the tree, a parent before its children.
std::vector<const CommandPage*> all_pages(const CommandPage& root);
/// The page of words such as "bench gemm"; an error that names what there is.
const CommandPage& find_page(const CommandPage& root, const std::vector<std::string>& words);

/// "normlab-bench-gemm".
std::string page_name(const CommandPage& page);
/// The manual page in roff (man 7 man), section 1.
std::string man_page(const CommandPage& page);
/// docs/reference.md.
std::string reference_markdown(const CommandPage& root);

}  // namespace train
