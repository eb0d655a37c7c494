// Read first: cli.h. cli_help.cc writes the --help pages.
#include "train/commands/cli.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cctype>
#include <cerrno>
#include <cmath>
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

/// Parts of the library name their operation first ("generate: ..."), which after the program's name would be
/// said twice. What an argument ends with may be a file's name, and stays.
std::string without_command(const std::string& message, const std::string& program, int argc, char** argv) {
  const size_t colon = message.find(": "), space = program.find(' ');
  if (colon == message.npos || space == program.npos) return message;
  const std::string first = message.substr(0, colon), command = program.substr(space + 1);
  for (int i = 2; i < argc; ++i)  // behind the command's own word
    if (std::string_view(argv[i]).ends_with(first)) return message;
  const bool said = command == first || command.ends_with(" " + first) || command.starts_with(first + " ");
  return said ? message.substr(colon + 2) : message;
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
UsageSink* usage_sink = nullptr;

const Command& find_command(const CommandTable& table, const std::string& word) {
  std::vector<std::string> names;
  for (const Command& command : table.commands) {
    if (command.name == word) return command;
    names.push_back(command.name);
  }
  const std::string near = engine::near_word(word, names);
  fail("unknown command \"", word, "\"", near.empty() ? "" : " (nearest: " + near + ")", "; see ",
       table.program, " --help");
}

/// `program` grows to the command that runs, so that its errors carry its full name.
int run_word(const CommandTable& table, int argc, char** argv, std::string& program) {
  if (usage_sink != nullptr) {
    usage_sink->take(table);
    return 0;
  }
  if (table.top && engine::launched_ranks() > 1) {
    if (asks_for_help(argc, argv)) {
      if (engine::launched_rank() > 0) return 0;
    } else {
      engine::world().agree([&] {
        check(argc > 1, "no command given; see ", program, " --help");
        check(find_command(table, argv[1]).on_ranks, argv[1], " runs on one process; a launcher started ",
              engine::launched_ranks());
      });
      engine::world().check_same("command", argv[1]);
    }
  }
  if (argc < 2) {  // help for a person, an error for a script
    print(help_text(table));
    std::fflush(stdout);
    fail("no command given");
  }
  const std::string word = argv[1];
  const bool has_help = std::any_of(table.commands.begin(), table.commands.end(),
                                    [](const Command& c) { return c.name == "help"; });
  if (word == "--help" || word == "-h" || (word == "help" && !has_help)) {
    print(help_text(table));
    return 0;
  }
  if ((word == "--version" || word == "version") && !table.version.empty()) {
    print(table.program + " " + table.version + "\n");
    return 0;
  }
  const Command& command = find_command(table, word);
  program += " " + word;
  return command.run(argc - 1, argv + 1);
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
  check(std::find(given.begin(), given.end(), "") == given.end(), "an argument is empty; see ", usage.program,
        " --help");
  check(given.size() <= most, "unexpected argument \"", given.size() > most ? given[most] : "", "\"; see ",
        usage.program, " --help");
}

/// What every command has beside its own.
const Flag quiet_flag = {"quiet", "", "no messages but warnings and errors"};

}  // namespace

bool asks_for_help(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    for (const char* word : {"--help", "-h", "--version"})
      if (std::strcmp(argv[i], word) == 0) return true;
  return false;
}

void set_usage_sink(UsageSink* sink) { usage_sink = sink; }

std::vector<std::string> closed_list(const std::string& hint) {
  std::vector<std::string> words;
  if (hint.find('|') == std::string::npos) return words;
  for (char c : hint)
    if (std::isupper(uint8_t(c))) return words;
  std::istringstream parts(hint);
  for (std::string word; std::getline(parts, word, '|');) words.push_back(word);
  return words;
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
    if (e.what()[0] != '\0') print_error(program, without_command(e.what(), program, argc, argv));
    return e.code;
  } catch (const engine::Error& e) {
    return end_with_error(program, without_command(e.what(), program, argc, argv), 2);
  } catch (const Failure& e) {
    return end_with_error(program, without_command(e.what(), program, argc, argv), 1);
  } catch (const std::bad_alloc&) {
    return end_with_error(program, "out of memory", 1);
  } catch (const std::exception& e) {
    return end_with_error(program, std::string("internal error: ") + e.what(), 1);
  }
}

Arguments::Arguments(const Usage& usage, int argc, char** argv) : usage_(usage) {
  usage_.flags.push_back(quiet_flag);
  values_.resize(usage_.flags.size());
  if (usage_sink != nullptr) {
    usage_sink->take(usage_);
    throw HelpShown{};
  }
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
  if (on("quiet")) ::setenv("NORMLAB_LOG", "warning", 1);  // programs that we start are quiet too
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
    check(name != "--help", name, " takes no value");
    names.push_back("--help");
    const std::string near = engine::near_word(name, names);
    fail("unknown flag ", name,
         near.empty() ? "; see " + usage_.program + " --help" : " (nearest: " + near + ")");
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
  // Only a text may be empty: an empty path means another place to each function that gets it.
  check(!value.empty() || flag.value == "TEXT", name, " is empty; it needs a value: ", flag_text(flag));
  const std::vector<std::string> words = closed_list(flag.value);
  check(words.empty() || std::find(words.begin(), words.end(), value) != words.end(), name, ": \"", value,
        "\" is not ", engine::one_of(words));
  values_[index].push_back(value);
  const bool takes_more = flag.arity == Arity::repeated && usage_.positionals.empty() && equals == std::string::npos;
  while (takes_more && i + 1 < argc && argv[i + 1][0] != '-' && argv[i + 1][0] != 0)
    values_[index].push_back(argv[++i]);
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

std::optional<double> number_with_unit(const std::string& text, bool is_time) {
  struct Unit {
    char letter;
    bool time;
    double size;
  };
  constexpr Unit units[] = {{'k', false, 1e3}, {'K', false, 1e3}, {'M', false, 1e6},   {'G', false, 1e9},
                            {'s', true, 1},    {'m', true, 60},   {'h', true, 3600}, {'d', true, 86400}};
  for (const Unit& unit : units) {
    if (unit.time != is_time || text.size() < 2 || text.back() != unit.letter) continue;
    if (text.find_first_not_of("+-0123456789.") != text.size() - 1) return {};
    char* end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    if (end == text.data() + text.size() - 1) return number * unit.size;
  }
  return {};
}

/// Whether strtod, which stopped at `end`, has read the whole text, and in the way in which people write
/// numbers: it would skip white space and take 0x10.
static bool ends_decimal(const std::string& text, const char* end) {
  return end == text.data() + text.size() && !std::isspace(uint8_t(text[0])) &&
         text.find_first_of("xX") == std::string::npos;
}

int64_t parse_integer(const std::string& text, const std::string& what, int64_t low, int64_t high) {
  char* end = nullptr;
  if (const std::optional<double> number = number_with_unit(text, false)) {
    check(*number == std::floor(*number), what, ": expected an integer, got \"", text, "\"");
    check(*number >= double(low) && *number <= double(high) && std::abs(*number) < 9e18, what, ": ", text,
          " is outside [", low, ", ", high, "]");
    return int64_t(*number);
  }
  if (const double number = std::strtod(text.c_str(), &end);  // 1e6, 5.0
      text.find_first_of("eE.") != std::string::npos && ends_decimal(text, end) &&
      number == std::floor(number)) {
    check(number >= double(low) && number <= double(high) && std::abs(number) < 9e15, what, ": ", text,
          " is outside [", low, ", ", high, "]");
    return int64_t(number);
  }
  errno = 0;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  check(!text.empty() && end == text.data() + text.size() && !std::isspace(uint8_t(text[0])), what,
        ": expected an integer, got \"", text, "\"");
  check(errno == 0 && value >= low && value <= high, what, ": ", text, " is outside [", low, ", ", high, "]");
  return value;
}

double parse_number(const std::string& text, const std::string& what, double low, double high) {
  if (const std::optional<double> number = number_with_unit(text, false)) {
    check(*number >= low && *number <= high, what, ": ", text, " is outside [", low, ", ", high, "]");
    return *number;
  }
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  check(!text.empty() && ends_decimal(text, end), what, ": expected a number, got \"", text, "\"");
  check(value >= low && value <= high, what, ": ", text, " is outside [", low, ", ", high, "]");
  return value;
}

}  // namespace train
