// normlab help: the help pages, and what is generated from the same tables. Read first: command_pages.h.
#include <cstdio>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "train/commands/command_pages.h"
#include "train/commands/commands.h"

namespace train {
namespace {

const Usage usage = {
    "normlab help",
    "what a command takes",
    {{"COMMAND", "a command, or several words such as tokenizer train", Count::any}},
    {{"man", "", "the manual page (roff) in place of the help text"},
     {"man-pages", "DIR", "write every manual page to DIR"},
     {"markdown", "", "the page docs/reference.md: all commands and all keys of a config"}}};

}  // namespace

int cmd_help(int argc, char** argv) {
  const Arguments args(usage, argc, argv);
  const CommandPage root = command_pages(normlab_commands());
  if (args.on("markdown")) {
    std::fputs(reference_markdown(root).c_str(), stdout);
    return 0;
  }
  if (args.given("man-pages")) {
    const std::string folder = args.text("man-pages");
    engine::make_directories(folder);
    const std::vector<const CommandPage*> pages = all_pages(root);
    for (const CommandPage* page : pages)
      engine::write_file(folder + "/" + page_name(*page) + ".1", man_page(*page));
    engine::log_info(folder, ": ", pages.size(), " manual pages");
    return 0;
  }
  const CommandPage& page = find_page(root, args.positionals());
  std::fputs((args.on("man") ? man_page(page) : page.help).c_str(), stdout);
  return 0;
}

}  // namespace train
