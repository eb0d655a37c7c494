// Fuzzing the command line: words cut at zero bytes, for a command with flags of every kind. What was
// accepted can be asked for.
#include <cstdio>

#include "fuzz.h"
#include "train/commands/cli.h"

namespace {

train::Usage usage() {
  return {"fuzz",
          "flags of every kind",
          {{"FIRST", "needed"}, {"REST", "any number", train::Count::any}},
          {{"name", "TEXT", "any text", "x"},
           {"count", "N", "a whole number", "3"},
           {"rate", "X", "a number", "0.5"},
           {"kind", "byte|word", "a word of a list", "byte"},
           {"set", "A=B", "several", "", train::Arity::repeated},
           {"on", "", "a switch"}},
          ""};
}

int read(int argc, char** argv) {
  const train::Arguments args(usage(), argc, argv);
  require(!args.positionals().empty() && !args.positional(0).empty() == !args.positionals()[0].empty());
  for (const char* flag : {"name", "kind"}) require(args.text(flag).size() < 5000);
  fuzz_one([&] { require(args.integer("count", -9, 9) <= 9); });
  fuzz_one([&] { require(args.number("rate", 0, 1) <= 1); });  // NaN is not
  require(args.on("on") == !args.values("on").empty());
  return int(args.values("set").size() > 0 ? 0 : 1);
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  return {byte_text("read\0in\0out\0--count\0004\0--rate=1e-3\0--on"),
          byte_text("read\0--set\0a=b\0--set=c=d\0x"),
          byte_text("read\0--kind\0word\0--\0-x"),
          byte_text("--help"),
          byte_text("raed\0x"),
          byte_text("read\0--rate=nan\0x")};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const FILE* const unseen = std::freopen("/dev/null", "w", stdout);  // what --help prints
  require(unseen != nullptr);
  std::vector<std::string> words = {"fuzz"};
  std::string_view rest = input_text(bytes, size);
  for (size_t zero; (zero = rest.find('\0')) != rest.npos; rest.remove_prefix(zero + 1))
    words.emplace_back(rest.substr(0, zero));
  words.emplace_back(rest);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int argc = int(words.size());
  fuzz_one([&] {
    try {
      read(argc, argv.data());
    } catch (const train::HelpShown&) {
    }
  });
  return 0;
}
