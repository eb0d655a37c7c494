// Read first: cli.h. cli_help.cc writes the --help pages.
#include "train/commands/cli.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sstream>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "engine/comm/world.h"
#include "train/commands/cli_help.h"
#include "train/failure.h"

namespace train {
namespace {

using engine::check;
using engine::fail;

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void print_error(const std::string& program, const std::string& message) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), engine::message_line(message).c_str());
}

/// An error that other ranks do not know of.
int end_with_error(const std::string& program, const std::string& message, int code) {
  const engine::Place* place = engine::place_in_world();
  if (place == nullptr || place->size == 1) {
    print_error(program, message);
  } else {
    // When all have the same, rank 0 says it and ends the others meanwhile.
    if (place->rank > 0) ::sleep(1);
    print_error(program, engine::join_text("rank ", place->rank, " (", place->host, "): ", message));
    engine::leave_world(code, /*together=*/false);
  }
  return code;
}

const Command& find_command(const CommandTable& table, const std::string& word) {
  std::vector<std::string> names;
  for (const Command& command : table.commands) {
    if (command.name == word) return command;
    names.push_back(command.name);
  }
  const std::string nearest = engine::nearest_word(word, names);
  fail("unknown command \"", word, "\"", nearest.empty() ? "" : " (nearest: " + nearest + ")", "; see ",
       table.program, " --help");
}

/// `program` grows to the command that runs, so that its errors carry its full name.
int run_word(const CommandTable& table, int argc, char** argv, std::string& program) {
  if (table.top && engine::launched_ranks() > 1) {
    if (asks_for_help(argc, argv)) {
      if (engine::launched_rank() > 0) return 0;
    } else {
      engine::world().agree([&] {
        check(argc > 1, "no command given; see ", program, " --help");
        check(find_command(table, argv[1]).on_ranks, argv[1], " runs on one process; a launcher started ",
              engine::launched_ranks());
      });
    }
  }
  check(argc > 1, "no command given; see ", program, " --help");
  const std::string word = argv[1];
  if (word == "--help" || word == "-h") {
    print(help_text(table));
    return 0;
  }
  if (word == "--version" && !table.version.empty()) {
    print(table.program + " " + table.version + "\n");
    return 0;
  }
  const Command& command = find_command(table, word);
  program += " " + word;
  return command.run(argc - 1, argv + 1);
}

/// The words of a closed list such as "f32|bf16"; empty when the hint is a placeholder such as FILE or
/// NAME|PATH.
std::vector<std::string> closed_list(const std::string& hint) {
  std::vector<std::string> words;
  if (hint.find('|') == std::string::npos) return words;
  for (char c : hint)
    if (std::isupper(uint8_t(c))) return words;
  std::istringstream parts(hint);
  for (std::string word; std::getline(parts, word, '|');) words.push_back(word);
  return words;
}

void check_positionals(const Usage& usage, const std::vector<std::string>& given) {
  size_t most = 0, unused = given.size();
  for (const Positional& p : usage.positionals) {
    const bool needed = p.count == Count::one || p.count == Count::many;
    const bool endless = p.count == Count::many || p.count == Count::any;
    check(!needed || unused > 0, p.name, " is missing (", p.help, "); see ", usage.program, " --help");
    most = endless || most == SIZE_MAX ? SIZE_MAX : most + 1;
    unused -= unused > 0;
  }
  check(given.size() <= most, "unexpected argument \"", given.size() > most ? given[most] : "", "\"; see ",
        usage.program, " --help");
}

}  // namespace

bool asks_for_help(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    for (const char* word : {"--help", "-h", "--version"})
      if (std::strcmp(argv[i], word) == 0) return true;
  return false;
}

void print_text(const std::string& text) {
  static const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  print(terminal ? engine::printable(text, "\n\t") : text);
}

int run_commands(const CommandTable& table, int argc, char** argv) {
  std::string program = table.program;
  try {
    int code = 0;
    try {
      code = run_word(table, argc, argv, program);
    } catch (const HelpShown&) {
    }
    if (code != 0 || (std::fflush(stdout) == 0 && !std::ferror(stdout))) return code;
    return end_with_error(program, std::string("cannot write to standard output (") + std::strerror(errno) + ")", 2);
  } catch (const engine::RankError& e) {
    if (e.what()[0] != '\0') print_error(program, e.what());
    return e.code;
  } catch (const engine::Error& e) {
    return end_with_error(program, e.what(), 2);
  } catch (const Failure& e) {
    return end_with_error(program, e.what(), 1);
  } catch (const std::bad_alloc&) {
    return end_with_error(program, "out of memory", 1);
  } catch (const std::exception& e) {
    return end_with_error(program, std::string("internal error: ") + e.what(), 1);
  }
}

Arguments::Arguments(const Usage& usage, int argc, char** argv) : usage_(usage), values_(usage.flags.size()) {
  bool flags_ended = false;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (flags_ended || word == "-" || word.empty() || word[0] != '-') {
      positionals_.push_back(word);
    } else if (word == "--") {
      flags_ended = true;
    } else if (word == "--help" || word == "-h") {
      print(help_text(usage_));
      throw HelpShown{};
    } else {
      i = parse_flag(i, argc, argv);
    }
  }
  check_positionals(usage_, positionals_);
  for (const Flag& flag : usage_.flags)
    check(flag.arity != Arity::required || given(flag.name), flag_text(flag), " is required (", flag.help,
          ")");
}

int Arguments::parse_flag(int i, int argc, char** argv) {
  const std::string word = argv[i];
  const size_t equals = word.find('=');
  const std::string name = word.substr(0, equals);
  std::vector<std::string> names;
  for (const Flag& flag : usage_.flags) names.push_back("--" + flag.name);
  const size_t index = size_t(std::find(names.begin(), names.end(), name) - names.begin());
  if (index == names.size()) {
    names.push_back("--help");
    fail("unknown flag ", name, " (nearest: ", engine::nearest_word(name, names), ")");
  }
  const Flag& flag = usage_.flags[index];
  if (flag.value.empty()) {
    check(equals == std::string::npos, name, " takes no value");
    values_[index].push_back("");
    return i;
  }
  check(flag.arity == Arity::repeated || values_[index].empty(), name, " is given twice");
  std::string value;
  if (equals != std::string::npos) {
    value = word.substr(equals + 1);
  } else {
    check(i + 1 < argc && std::strncmp(argv[i + 1], "--", 2) != 0, name, " needs a value: ", flag_text(flag));
    value = argv[++i];
  }
  const std::vector<std::string> words = closed_list(flag.value);
  check(words.empty() || std::find(words.begin(), words.end(), value) != words.end(), name, ": \"", value,
        "\" is not ", engine::one_of(words));
  values_[index].push_back(value);
  return i;
}

size_t Arguments::find(const std::string& flag) const {
  size_t i = 0;
  while (i < usage_.flags.size() && usage_.flags[i].name != flag) ++i;
  assert(i < usage_.flags.size() && "a flag that the Usage does not have");
  return i;
}

std::string Arguments::text(const std::string& flag) const {
  const size_t i = find(flag);
  return values_[i].empty() ? usage_.flags[i].fallback : values_[i].back();
}

int64_t Arguments::integer(const std::string& flag, int64_t low, int64_t high) const {
  return parse_integer(text(flag), "--" + flag, low, high);
}

double Arguments::number(const std::string& flag, double low, double high) const {
  return parse_number(text(flag), "--" + flag, low, high);
}

int64_t parse_integer(const std::string& text, const std::string& what, int64_t low, int64_t high) {
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  check(!text.empty() && end == text.data() + text.size() && !std::isspace(uint8_t(text[0])), what,
        ": expected an integer, got \"", text, "\"");
  check(errno == 0 && value >= low && value <= high, what, ": ", text, " is outside [", low, ", ", high, "]");
  return value;
}

double parse_number(const std::string& text, const std::string& what, double low, double high) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  check(!text.empty() && end == text.data() + text.size() && !std::isspace(uint8_t(text[0])), what,
        ": expected a number, got \"", text, "\"");
  check(value >= low && value <= high, what, ": ", text, " is outside [", low, ", ", high, "]");
  return value;
}

}  // namespace train
