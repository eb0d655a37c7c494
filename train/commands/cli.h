// The command line as tables: commands, flags and positionals are data; parsing, --help text and the messages
// for mistakes follow from the tables.
//
//   const Usage usage = {"normlab report", "one page of curves", {{"RUN", "run folders", Count::many}},
//                        {{"out", "FILE", "where to write", "report.html"}, {"force", "", "replace the
//                        file"}}};
//   const Arguments args(usage, argc, argv);         // argv[0] is skipped; --help prints and leaves by
//   HelpShown args.positionals(), args.text("out"), args.on("force")
//
// Exit codes (0 done, 2 bad usage or input, 1 anything else, 130 stopped by Ctrl-C) are run_commands's
// business.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace train {

/// A command: `run` gets argv with the command's own name at argv[0] and returns the exit code.
struct Command {
  std::string name, summary;
  int (*run)(int argc, char** argv);
  bool on_ranks = false;  // whether several ranks of a launcher may run it together; it then joins them
};

/// What `normlab help`, completions and man pages are made of (command_pages.h): while one is set, a command
/// or a table hands over what it would have parsed by, and does nothing.
struct Usage;
struct CommandTable;
struct UsageSink {
  virtual ~UsageSink() = default;
  virtual void take(const Usage& usage) = 0;
  virtual void take(const CommandTable& table) = 0;
};
void set_usage_sink(UsageSink* sink);

/// Commands behind one program name; nests ("normlab" has "tokenizer", "normlab tokenizer" has "train").
struct CommandTable {
  std::string program;  // as typed: "normlab", "normlab tokenizer"
  std::string about;    // one line
  std::vector<Command> commands;
  std::string version;  // for --version; empty: no such flag
  bool top = false;     // the program itself: where it is said which commands run on several ranks
};

/// Finds argv[1] in the table and runs it, alone or, under a launcher, on all ranks together
/// (engine/comm/world.h): an error that all of them know of is said by one, any other one ends all. Without a word, or
/// with "help", prints the table. engine::Error gives one line on stderr and 2, Failure one line and
/// 1, other exceptions are bugs of ours: "internal error" and 1.
int run_commands(const CommandTable& table, int argc, char** argv);

/// Whether --help, -h or --version is among the words: what one rank answers, without joining the others.
bool asks_for_help(int argc, char** argv);

/// Writes text that comes from data to standard output: as it is to a file or a program, without what a
/// terminal would obey (engine/base/text.h: printable) to a terminal.
void print_text(const std::string& text);

enum class Arity { optional, required, repeated };

struct Flag {
  std::string name;  // without the dashes
  std::string
      value;  // hint for the value: "FILE", "N"; lower-case words joined by | are a closed list; "": a switch
  std::string help;
  std::string fallback;  // the value when the flag is absent; shown in --help
  Arity arity = Arity::optional;
};

enum class Count { one, optional, many, any };  // many: at least one

struct Positional {
  std::string name, help;
  Count count = Count::one;
};

struct Usage {
  std::string program;  // "normlab report"
  std::string about;    // one line
  std::vector<Positional> positionals;
  std::vector<Flag> flags;
  std::string notes;  // printed below the flags, as it is
};

std::string help_text(const Usage& usage);

/// Thrown after --help was printed; run_commands turns it into exit code 0.
struct HelpShown {};

/// A parsed command line. Where a command has no positionals, a repeated flag takes every word up to the next
/// flag (--input a.txt b.txt). Every command has --help, and --quiet: no more than warnings on stderr. Asking for a flag that the Usage does not have is a bug of ours (assert).
class Arguments {
 public:
  Arguments(const Usage& usage, int argc, char** argv);

  bool given(const std::string& flag) const { return !values(flag).empty(); }
  bool on(const std::string& switch_name) const { return given(switch_name); }
  /// The last value given, else the fallback.
  std::string text(const std::string& flag) const;
  int64_t integer(const std::string& flag, int64_t low, int64_t high) const;
  double number(const std::string& flag, double low, double high) const;
  /// Every value of a repeated flag, in the order given.
  const std::vector<std::string>& values(const std::string& flag) const { return values_[find(flag)]; }

  const std::vector<std::string>& positionals() const { return positionals_; }
  /// The positional at `index`, or "" when an optional one is absent.
  std::string positional(size_t index) const {
    return index < positionals_.size() ? positionals_[index] : "";
  }

 private:
  size_t find(const std::string& flag) const;
  /// Takes the flag at argv[i]; returns the index of the last word that it used.
  int parse_flag(int i, int argc, char** argv);

  Usage usage_;
  std::vector<std::vector<std::string>>
      values_;  // one list a flag; a switch holds "" once for each time given
  std::vector<std::string> positionals_;
};

/// The words of a closed list such as "f32|bf16"; empty when the hint is a placeholder such as FILE or
/// NAME|PATH.
std::vector<std::string> closed_list(const std::string& hint);

/// A number with a unit behind it: k, M, G (thousands), or, of a time, s, m, h, d (seconds). Nothing for a text
/// without a unit, or that is no number.
std::optional<double> number_with_unit(const std::string& text, bool is_time);

/// Whole-string conversions with an error that names `what`; 10k is 10,000.
int64_t parse_integer(const std::string& text, const std::string& what, int64_t low, int64_t high);
double parse_number(const std::string& text, const std::string& what, double low, double high);

}  // namespace train
