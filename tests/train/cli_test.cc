// The command line: parsing, help pages, exit codes and messages, of tables made here and of the real binary.
#include <catch2/catch.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "run_program.h"
#include "train/commands/cli.h"
#include "train/commands/cli_help.h"
#include "train/failure.h"

using namespace train;
using Catch::Matchers::Contains;
using Catch::Matchers::Equals;
using Catch::Matchers::StartsWith;

namespace {

const Usage sample = {"normlab sample",
                      "shows the parser",
                      {{"RUN", "run folders", Count::many}},
                      {{"out", "FILE", "where to write", "report.html"},
                       {"precision", "f32|bf16|f16", "how numbers are stored", "f32"},
                       {"set", "KEY=VALUE", "override one key", "", Arity::repeated},
                       {"steps", "N", "how many", "10"},
                       {"force", "", "replace the file"}}};

Arguments parse(std::vector<std::string> words, const Usage& usage = sample) {
  words.insert(words.begin(), "sample");
  std::vector<char*> argv;
  for (std::string& w : words) argv.push_back(w.data());
  return Arguments(usage, int(argv.size()), argv.data());
}

}  // namespace

TEST_CASE("arguments: flags, fallbacks, repeats and positionals") {
  const Arguments args =
      parse({"a", "--out", "x.html", "--set", "optim.lr=1", "b", "--set=seed=2", "--force"});
  CHECK(args.positionals() == std::vector<std::string>{"a", "b"});
  CHECK(args.positional(1) == "b");
  CHECK(args.positional(2) == "");
  CHECK(args.text("out") == "x.html");
  CHECK(args.values("set") == std::vector<std::string>{"optim.lr=1", "seed=2"});
  CHECK(args.on("force"));
  CHECK(args.text("precision") == "f32");
  CHECK(args.integer("steps", 1, 100) == 10);
  CHECK(args.number("steps", 1, 100) == 10.0);
  CHECK_FALSE(args.given("precision"));
}

TEST_CASE("arguments: -- ends the flags, - is a positional, a value may begin with one dash") {
  const Arguments args = parse({"-", "--steps", "-3", "--", "--out"});
  CHECK(args.positionals() == std::vector<std::string>{"-", "--out"});
  CHECK(args.integer("steps", -5, 5) == -3);
}

TEST_CASE("arguments: mistakes are named") {
  CHECK_THROWS_WITH(parse({"a", "--ouy", "x"}), "unknown flag --ouy (nearest: --out)");
  CHECK_THROWS_WITH(parse({"a", "-x"}), Contains("unknown flag -x"));
  CHECK_THROWS_WITH(parse({"a", "--out"}), "--out needs a value: --out FILE");
  CHECK_THROWS_WITH(parse({"a", "--out", "--force"}), "--out needs a value: --out FILE");
  CHECK_THROWS_WITH(parse({"a", "--out", "x", "--out", "y"}), "--out is given twice");
  CHECK_THROWS_WITH(parse({"a", "--force=yes"}), "--force takes no value");
  CHECK_THROWS_WITH(parse({"a", "--precision", "f8"}), "--precision: \"f8\" is not f32, bf16 or f16");
  CHECK_THROWS_WITH(parse({"a", "--steps", "ten"}).integer("steps", 1, 9),
                    "--steps: expected an integer, got \"ten\"");
  CHECK_THROWS_WITH(parse({"a", "--steps", "12"}).integer("steps", 1, 9), "--steps: 12 is outside [1, 9]");
  CHECK_THROWS_WITH(parse({"a", "--steps", "99999999999999999999"}).integer("steps", 1, 9),
                    Contains("outside"));
  CHECK_THROWS_WITH(parse({"a", "--steps", "nan"}).number("steps", 1, 9), Contains("outside"));
  CHECK_THROWS_WITH(parse({"a", "--steps", "1x"}).number("steps", 1, 9), Contains("expected a number"));
  CHECK_THROWS_WITH(parse({"a", "--steps", "0x10"}).number("steps", 1, 99), Contains("expected a number"));
  CHECK_THROWS_WITH(parse({"a", "--steps", "0x10"}).integer("steps", 1, 99), Contains("expected an integer"));
  CHECK_THROWS_WITH(parse({"a", "--steps", "1_0"}).integer("steps", 1, 99), Contains("expected an integer"));
  CHECK_THROWS_WITH(parse({"a", "--steps", "5.5"}).integer("steps", 1, 99), Contains("expected an integer"));
  CHECK(parse({"a", "--steps", "5.0"}).integer("steps", 1, 1000) == 5);
  CHECK(parse({"a", "--steps", "1e3"}).integer("steps", 1, 1000) == 1000);
  CHECK_THROWS_WITH(parse({"a", "--steps", "1e4"}).integer("steps", 1, 1000), Contains("outside"));
  CHECK_THROWS_WITH(parse({"a", "--steps", "1e-3"}).integer("steps", 1, 9), Contains("expected an integer"));
  CHECK_THROWS_WITH(parse({"a", "--steps", ""}), "--steps is empty; it needs a value: --steps N");
  CHECK_THROWS_WITH(parse({"a", "--out="}), "--out is empty; it needs a value: --out FILE");
  CHECK_THROWS_WITH(parse({"a", ""}), Contains("an argument is empty"));
  CHECK_THROWS_WITH(parse({}), "RUN is missing (run folders); see normlab sample --help");
}

TEST_CASE("arguments: counts of positionals and required flags") {
  const Usage one = {"p", "", {{"IN", "input"}, {"OUT", "output", Count::optional}}, {}};
  CHECK(parse({"a"}, one).positional(1) == "");
  CHECK_THROWS_WITH(parse({"a", "b", "c"}, one), Contains("unexpected argument \"c\""));
  const Usage required = {"p", "", {}, {{"model", "DIR", "the model", "", Arity::required}}};
  CHECK_THROWS_WITH(parse({}, required), "--model DIR is required (the model)");
  CHECK(parse({"--model=m"}, required).text("model") == "m");
  CHECK_THROWS_WITH(parse({"extra", "--model=m"}, required), Contains("unexpected argument"));
}

TEST_CASE("help pages wrap into two columns") {
  const std::string page = help_text(sample);
  CHECK_THAT(page, Contains("usage: normlab sample RUN... [--out FILE] [--precision f32|bf16|f16]"));
  CHECK_THAT(page,
             Contains("--out FILE") && Contains("(default: report.html)") && Contains("(may be repeated)"));
  CHECK_THAT(two_columns({{"a", "one"}, {"long", "two"}}), Equals("  a     one\n  long  two\n"));
  const std::string wrapped = two_columns({{std::string(40, 'x'), std::string(53, 'y') + " z"}});
  CHECK_THAT(wrapped, Equals("  " + std::string(40, 'x') + "\n" + std::string(26, ' ') +
                             std::string(53, 'y') + "\n" + std::string(26, ' ') + "z\n"));
}

TEST_CASE("the binary: help, version, unknown command, exit codes") {
  const ProgramEnd help = run_normlab("--help");
  CHECK(help.code == 0);
  CHECK_THAT(help.output, Contains("usage: normlab COMMAND"));
  const ProgramEnd version = run_normlab("--version");
  CHECK(version.code == 0);
  CHECK_THAT(version.output, Contains("normlab ") && Contains("."));
  const ProgramEnd unknown = run_normlab("'wrong\nword'");
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.output, Contains("normlab: unknown command \"wrong\\nword\""));
  CHECK(std::count(unknown.output.begin(), unknown.output.end(), '\n') == 1);
  CHECK(run_normlab("").code == 2);
  CHECK(run_normlab("--help > /dev/full").code == 2);
}

namespace {
int fail_as_caller(int, char**) { engine::fail("no such\nfile"); }
int fail_at_work(int, char**) { throw Failure("the numbers are beyond repair"); }
int fail_inside(int, char**) { throw std::logic_error("oops"); }
int stop(int, char**) { return 130; }
int nested(int argc, char** argv) {
  return run_commands({"p nested", "", {{"deep", "", fail_as_caller}}}, argc, argv);
}
int helped(int argc, char** argv) {
  const Arguments args({"p helped", "about", {}, {}}, argc, argv);
  return 7;
}

int run(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& w : words) argv.push_back(w.data());
  const CommandTable table = {"p",
                              "",
                              {{"caller", "", fail_as_caller},
                               {"at-work", "", fail_at_work},
                               {"inside", "", fail_inside},
                               {"stop", "", stop},
                               {"nested", "", nested},
                               {"helped", "", helped}}};
  return run_commands(table, int(argv.size()), argv.data());
}
}  // namespace

TEST_CASE("exit codes follow the kind of failure") {
  CHECK(run({"p", "caller"}) == 2);
  CHECK(run({"p", "at-work"}) == 1);
  CHECK(run({"p", "inside"}) == 1);
  CHECK(run({"p", "stop"}) == 130);
  CHECK(run({"p", "nested", "deep"}) == 2);
  CHECK(run({"p", "helped"}) == 7);
  CHECK(run({"p", "helped", "--help"}) == 0);
  CHECK(run({"p", "--version"}) == 2);
}

TEST_CASE("the binary: a command's name is said once, and a file's name always") {
  const auto line = [](const std::string& arguments) { return run_normlab(arguments).output; };
  CHECK(line("tokenizer train --kind byte --special a --special a --out x") ==
        "normlab tokenizer train: special token \"a\" is given twice\n");
  CHECK(line("corpus " SOURCE_DIR "/README.md --valid 0.6 --test 0.6 --out x") ==
        "normlab corpus: valid and test must be shares that leave something to train on, got 0.6 and 0.6\n");
  CHECK_THAT(line("corpus corpus --out x"),
             StartsWith("normlab corpus: corpus: neither a file nor a corpus by name"));
  CHECK_THAT(line("report report"), StartsWith("normlab report: report: no such folder"));
  CHECK_THAT(line("eval ppl --model ppl --data ppl"), StartsWith("normlab eval ppl: ppl: no such folder"));
}
