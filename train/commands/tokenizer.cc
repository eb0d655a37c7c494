// normlab tokenizer: train one, use it, import others' files. Read first: cli.h, data/tokenizer.h.
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "data/bpe_files.h"
#include "data/byte_source.h"
#include "data/documents.h"
#include "data/prepare.h"
#include "data/tokenizer.h"
#include "data/train_tokenizer.h"
#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"

namespace train {
namespace {

using data::SpecialText;
using data::TokenId;
using engine::check;

const Flag tokenizer_flag = {"tokenizer", "DIR", "folder with tokenizer.json, or such a file", "",
                             Arity::required};

/// A person at a terminal is told what is missing.
void check_piped(const std::string& expected) {
  check(!isatty(STDIN_FILENO), "nothing on standard input: pipe in ", expected);
}

/// All of standard input.
std::string read_input(const std::string& expected) {
  check_piped(expected);
  return data::read_all(*data::open_plain_bytes("-"), "standard input", SIZE_MAX);
}

void write_output(const std::string& text) {
  print_text(text);
  check(std::fflush(stdout) == 0 && !std::ferror(stdout), "cannot write to standard output (",
        std::strerror(errno), ")");
}

/// Gives the trainer the documents of the inputs' training parts; of standard input without any.
void read_texts(std::vector<std::string> inputs, const data::ReadOptions& options, data::TokenizerKind kind,
                data::TokenizerTrainer& trainer) {
  if (inputs.empty()) inputs = {"-"};
  for (const std::string& input : inputs) {
    if (input == "-")
      check_piped("text to learn from, or name files with --input");
    else
      check(engine::file_exists(input), input, ": no such file or folder");
    for (const std::string& file : data::files_of_sets(input)) {
      if (file != input && data::set_of_file(file) != "train") continue;
      data::read_documents(file, options, [&](data::Document&& document) {
        const size_t valid = data::valid_utf8_prefix(document.text);
        check(kind != data::TokenizerKind::character || valid == document.text.size(), document.where,
              ": not valid UTF-8 at byte ", valid, "; kind char needs valid text");
        trainer.add(std::move(document.text));
      });
    }
  }
}

const Flag json_flag = {"json", "", "one JSON object on standard output: what was written"};

void report(const data::Tokenizer& tokenizer, const std::string& folder, bool json) {
  engine::log_info(folder, "/tokenizer.json: kind ", kind_name(tokenizer.kind()), ", ",
                   tokenizer.vocab_size(), " tokens, sha256 ", tokenizer.hash().substr(0, 16));
  if (!json) return;
  const engine::Json out = {{"tokenizer", folder + "/tokenizer.json"},
                            {"kind", kind_name(tokenizer.kind())},
                            {"tokens", tokenizer.vocab_size()},
                            {"sha256", tokenizer.hash()}};
  std::printf("%s\n", engine::json_text(out, 1).c_str());
}

int train_command(int argc, char** argv) {
  const Usage usage = {
      "normlab tokenizer train",
      "learn a tokenizer from text and write DIR/tokenizer.json",
      {},
      {{"out", "DIR", "folder to write", "", Arity::required},
       {"input", "FILE",
        "text to learn from: a file, a folder, or - for standard input (also without --input)", "",
        Arity::repeated},
       {"field", "NAME",
        "key of the text in JSON objects, column of a CSV file; given, standard input is JSONL", "text"},
       {"kind", "bpe|byte|char|word", "what tokens are", "bpe"},
       {"vocab-size", "N",
        "tokens in all, special ones included (0: 32768 for bpe, no limit for char and word)", "0"},
       {"min-frequency", "N", "leave out rarer pairs, characters or words (0: 2 for bpe, else 1)", "0"},
       {"special", "TEXT", "a special token; their ids follow the order given", "", Arity::repeated},
       {"threads", "N", "threads to count with (0: all processors); the result does not depend on it", "0"},
       json_flag},
      "bpe is GPT-2's byte-level byte-pair encoding; its tokenizer.json can be read by Hugging Face "
      "tokenizers.\n"
      "Files are read as `normlab prepare` reads them; of a folder with train, valid and\n"
      "test, only train.\n"};
  const Arguments args(usage, argc, argv);
  data::TrainOptions options;
  options.kind = data::parse_trained_kind(args.text("kind"));
  options.vocab_size = size_t(args.integer("vocab-size", 0, 1 << 24));
  options.min_frequency = uint64_t(args.integer("min-frequency", 0, INT64_MAX));
  options.special = args.values("special");
  options.threads = int(args.integer("threads", 0, 1024));
  data::TokenizerTrainer trainer(options);
  if (options.kind != data::TokenizerKind::byte)
    read_texts(args.values("input"), {args.text("field"), args.given("field")}, options.kind, trainer);
  engine::log_info("learning from ", engine::human_bytes(double(trainer.bytes())));
  const auto tokenizer = trainer.learn();
  tokenizer->save(args.text("out"));
  report(*tokenizer, args.text("out"), args.on("json"));
  return 0;
}

void append_array(std::string& out, const std::vector<TokenId>& ids) {
  char digits[16];
  out += '[';
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    out.append(digits, std::to_chars(digits, digits + sizeof digits, ids[i]).ptr);
  }
  out += "]\n";
}

std::string results_text(const engine::Json& results) {
  return engine::json_text(engine::Json({{"results", results}})) + "\n";
}

int encode_command(int argc, char** argv) {
  const Usage usage = {
      "normlab tokenizer encode",
      "text on standard input to token ids on standard output, a JSON array",
      {},
      {tokenizer_flag,
       {"lines", "", "one array for each line, its newline left out"},
       {"special", "",
        "the text has its special tokens in it: find them, add none; otherwise their text is ordinary text"},
       {"bare", "", "add no special tokens around a text"},
       {"json", "", "one JSON object: of each array its ids, and the text of each of them"},
       {"threads", "N", "0: all processors", "0"}},
      "What the tokenizer's post-processor puts around a text (<s> and </s>, say) is added, as for a model's "
      "input,\n"
      "unless --special or --bare is given."};
  const Arguments args(usage, argc, argv);
  const auto tokenizer = data::load_tokenizer(args.text("tokenizer"));
  const SpecialText special = args.on("special") ? SpecialText::recognised : SpecialText::ordinary;
  const int threads = int(args.integer("threads", 0, 1024));
  const std::string text = read_input("text");
  const bool bare = args.on("special") || args.on("bare");
  std::string out;
  engine::Json results = engine::Json::array();
  const auto append = [&](std::string_view part) {
    std::vector<TokenId> ids = tokenizer->encode(part, special, threads);
    if (!bare) ids = tokenizer->with_special_tokens(ids);
    if (!args.on("json")) return append_array(out, ids);
    engine::Json texts = engine::Json::array();
    for (const TokenId id : ids) texts.push_back(tokenizer->decode({&id, 1}));
    results.push_back({{"ids", ids}, {"texts", texts}});
  };
  if (!args.on("lines")) append(text);
  for (size_t from = 0; args.on("lines") && from < text.size();) {
    const size_t end = std::min(text.find('\n', from), text.size());
    append(std::string_view(text).substr(from, end - from));
    from = end + 1;
  }
  if (args.on("json")) out = results_text(results);
  write_output(out);
  return 0;
}

/// Reads "[1, 2, 3]" from json at `at`, past white space; false at the end of the text.
bool read_array(const std::string& json, size_t& at, std::vector<TokenId>& ids) {
  const auto skip = [&] {
    while (at < json.size() && std::isspace(uint8_t(json[at]))) ++at;
    return at < json.size() ? json[at] : '\0';
  };
  const auto expect = [&](bool good, const char* what) {
    check(good, "standard input: byte ", at, ": expected ", what, " in a JSON array of token ids");
  };
  ids.clear();
  if (skip() == '\0' && at == json.size()) return false;
  expect(json[at] == '[', "\"[\"");
  ++at;
  if (skip() == ']') return ++at, true;
  for (;;) {
    skip();
    TokenId id = 0;
    const auto [end, error] = std::from_chars(json.data() + at, json.data() + json.size(), id);
    expect(error == std::errc(), "a token id (0 to 4294967295)");
    ids.push_back(id);
    at = size_t(end - json.data());
    const char next = skip();
    expect(next == ',' || next == ']', "\",\" or \"]\"");
    ++at;
    if (next == ']') return true;
  }
}

int decode_command(int argc, char** argv) {
  const Usage usage = {"normlab tokenizer decode",
                       "token ids on standard input, a JSON array, to text on standard output",
                       {},
                       {tokenizer_flag,
                        {"lines", "", "one array a line; a newline is written after each one's text"},
                        {"json", "", "one JSON object: the text of each array"}},
                       ""};
  const Arguments args(usage, argc, argv);
  const auto tokenizer = data::load_tokenizer(args.text("tokenizer"));
  const std::string json = read_input("a JSON array of token ids");
  std::string out;
  engine::Json results = engine::Json::array();
  std::vector<TokenId> ids;
  size_t at = 0, arrays = 0;
  for (; read_array(json, at, ids); ++arrays) {
    check(args.on("lines") || arrays == 0, "standard input: byte ", at,
          ": more than one JSON array; --lines takes several");
    const std::string text = tokenizer->decode(ids);
    results.push_back({{"text", text}});
    out += text;
    if (args.on("lines")) out += '\n';
  }
  check(args.on("lines") || arrays == 1, "standard input: expected a JSON array of token ids, got nothing");
  write_output(args.on("json") ? results_text(results) : out);
  return 0;
}

int import_command(int argc, char** argv) {
  const Usage usage = {
      "normlab tokenizer import",
      "read others' tokenizers and write DIR/tokenizer.json",
      {},
      {{"out", "DIR", "folder to write", "", Arity::required},
       {"vocab", "FILE", "GPT-2's vocab.json (encoder.json); with --merges"},
       {"merges", "FILE", "GPT-2's merges.txt (vocab.bpe)"},
       {"dict", "FILE",
        "fairseq's dictionary, for RoBERTa's ids: line i is id i+4; with --vocab and --merges"},
       {"json", "FILE",
        "a tokenizer.json, or a folder from the Hugging Face Hub, instead of --vocab and --merges"}},
      "What the file asks for and this program cannot do is an error: nothing is ignored."};
  const Arguments args(usage, argc, argv);
  const bool json = args.given("json");
  check(json != args.given("vocab") && args.given("vocab") == args.given("merges") &&
            !(json && args.given("dict")),
        "give either --json FILE, or --vocab FILE and --merges FILE (and --dict FILE for RoBERTa)");
  std::unique_ptr<data::Tokenizer> tokenizer;
  if (json) {
    tokenizer = data::load_tokenizer(args.text("json"));
  } else {
    data::BpeModel model = data::bpe_from_gpt2_files(args.text("vocab"), args.text("merges"));
    if (args.given("dict")) model = data::with_fairseq_dictionary(model, args.text("dict"));
    tokenizer = data::make_bpe_tokenizer(model, args.text("vocab"));
  }
  tokenizer->save(args.text("out"));
  report(*tokenizer, args.text("out"), false);
  return 0;
}

}  // namespace

int cmd_tokenizer(int argc, char** argv) {
  return run_commands({"normlab tokenizer",
                       "learns and uses tokenizers",
                       {{"train", "learn a tokenizer from text", train_command},
                        {"encode", "text to token ids", encode_command},
                        {"decode", "token ids to text", decode_command},
                        {"import", "read GPT-2's, RoBERTa's or Hugging Face's files", import_command}},
                       ""},
                      argc, argv);
}

}  // namespace train
