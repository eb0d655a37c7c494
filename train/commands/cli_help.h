// The --help pages that cli.h's tables describe: a usage line, then two wrapped columns.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "train/commands/cli.h"

namespace train {

std::string help_text(const CommandTable& table);
/// "--out FILE".
std::string flag_text(const Flag& flag);
/// "RUN...", "[RUN]".
std::string positional_text(const Positional& positional);
/// What --help says of a flag: its line, whether it is required or repeated, its default.
std::string flag_help(const Flag& flag);
/// "  left      right" lines, with the right part wrapped into its own column.
std::string two_columns(const std::vector<std::pair<std::string, std::string>>& rows);

}  // namespace train
