// normlab prepare: text to the token shards that `normlab train` reads. Read first: cli.h, data/prepare.h.
#include <algorithm>
#include <cstdio>

#include "data/documents.h"
#include "data/prepare.h"
#include "data/tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/base/stop.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/evaluation/count_progress.h"
#include "train/signals.h"

namespace train {
namespace {

Usage usage() {
  return {
      "normlab prepare",
      "text to token shards DIR/train-00000.bin, ..., which a run's config names as DIR/train",
      {},
      {{"tokenizer", "DIR", "folder with tokenizer.json, or such a file", "", Arity::required},
       {"input", "FILE", "a file, a folder, a folder of `normlab corpus`, or - for standard input", "",
        Arity::repeated},
       {"out", "DIR", "folder to write; it gets the tokenizer.json too", "", Arity::required},
       {"units", "document|line", "what masked-LM batches keep whole; line: as RoBERTa, each line on its own",
        "document"},
       {"raw", "", "the file's tokens and nothing else: no documents, no end-of-document tokens"},
       {"valid", "SHARE", "with --raw: the end of each file's characters becomes the set valid", "0"},
       {"import", "llmc|nanogpt", "inputs are token files of these programs, made with this tokenizer"},
       {"special", "", "find special tokens in the text; otherwise their text is ordinary text"},
       {"field", "NAME",
        "key of the text in JSON objects, column of a CSV file; given, standard input is JSONL", "text"},
       {"shard-tokens", "N", "most tokens in a shard", "100000000"},
       {"threads", "N", "0: all processors; the result does not depend on it", "0"},
       {"force", "", "replace shards that were made from something else"},
       {"json", "", "one JSON object on standard output: the sets"}},
      "A file's set is the last word of its name that says train, valid (val, validation,\n"
      "dev, eval) or test; else train. A folder whose files' names say train and valid or\n"
      "test is split by them, any other is one input. Documents (*.jsonl, *.json, *.csv,\n"
      "*.html, text with lines <|endoftext|> between them; .gz, .zst and .xz too) are each\n"
      "followed by the tokenizer's <|endoftext|> or </s>; without one, kind word relies on\n"
      "its <eos> and the others on a newline. Stopped, the same command goes on where it was.\n"
      "Tiny Shakespeare as nanoGPT has it: normlab prepare --tokenizer T --input input.txt --raw --valid 0.1 "
      "--out DIR\n"};
}

/// Bytes of the regular files that will be read; compressed ones are larger inside, so the bar may be early.
int64_t input_bytes(const std::vector<std::string>& inputs) {
  int64_t bytes = 0;
  for (const std::string& input : inputs) {
    if (input == "-" || !engine::file_exists(input)) continue;
    for (const std::string& path : data::files_of_sets(input))
      for (const std::string& file : data::files_below(path))
        if (engine::is_regular_file(file)) bytes += int64_t(engine::file_size(file));
  }
  return bytes;
}

class Reporter {
 public:
  explicit Reporter(int64_t bytes) : bytes_(bytes), bar_("prepare", "bytes", bytes) {}
  void operator()(const data::PrepareProgress& p) {
    engine::check_stop();
    if (p.set != set_) set_ = p.set, before_ += here_;
    here_ = p.bytes;
    const double share = bytes_ > 0 ? double(before_ + here_) / double(bytes_) : 0;
    bar_.update(before_ + here_, std::min(share, 1.0));
  }

 private:
  SignalGuard signals_;
  int64_t bytes_, before_ = 0, here_ = 0;
  std::string set_;
  CountProgress bar_;
};

data::PrepareForm form_of(const Arguments& args) {
  engine::check(!(args.on("raw") && args.given("import")), "give --raw or --import, not both");
  if (args.on("raw")) return data::PrepareForm::raw;
  if (!args.given("import")) return data::PrepareForm::documents;
  return args.text("import") == "llmc" ? data::PrepareForm::llmc : data::PrepareForm::nanogpt;
}

}  // namespace

int cmd_prepare(int argc, char** argv) {
  const Arguments args(usage(), argc, argv);
  ignore_broken_pipes();
  engine::check(args.given("input"), "no --input: name the text to prepare (- for standard input)");
  const auto tokenizer = data::load_tokenizer(args.text("tokenizer"));
  Reporter reporter(input_bytes(args.values("input")));
  data::PrepareOptions options;
  options.folder = args.text("out");
  options.form = form_of(args);
  if (args.text("units") == "line") options.units = data::Units::line;
  if (args.on("special")) options.special = data::SpecialText::recognised;
  options.read = {args.text("field"), args.given("field")};
  options.shard_tokens = args.integer("shard-tokens", 1, int64_t(1) << 40);
  options.valid = args.number("valid", 0, 1);
  options.threads = int(args.integer("threads", 0, 1024));
  if (args.on("force")) options.existing = data::Existing::replace;
  options.progress = [&](const data::PrepareProgress& p) { reporter(p); };
  if (options.form == data::PrepareForm::documents &&
      data::document_end(*tokenizer).role == data::DocumentEnd::newline)
    engine::log_info("the tokenizer has no <|endoftext|> or </s>: a newline follows each document");
  engine::Json sets = engine::Json::array();
  try {
    for (const data::PreparedSet& set : data::prepare(*tokenizer, args.values("input"), options)) {
      sets.push_back({{"name", set.name},
                      {"tokens", set.tokens},
                      {"units", set.units},
                      {"shards", set.shards},
                      {"was_finished", set.was_finished}});
      engine::log_info(set.name, ": ", set.tokens, " tokens in ", set.units,
                       set.units == 1 ? " unit, " : " units, ", set.shards,
                       set.shards == 1 ? " shard" : " shards",
                       set.was_finished ? ", finished before and left as they are" : "");
    }
  } catch (const engine::Stopped&) {
    engine::log_info("stopped; the same command goes on where it was");
    return 130;
  }
  if (args.on("json")) std::printf("%s\n", engine::json_text(engine::Json{{"sets", sets}}, 1).c_str());
  return 0;
}

}  // namespace train
