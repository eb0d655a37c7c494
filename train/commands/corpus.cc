// normlab corpus: public text by name, or any text, to DIR/train.txt, valid.txt, test.txt and manifest.json.
#include <cstdio>
#include <memory>

#include "data/corpus.h"
#include "data/packages.h"
#include "data/recipes.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/signals.h"

namespace train {
namespace {

std::string notes() {
  std::string out = "names:\n";
  for (const auto& recipe : data::recipes()) out += "  " + recipe.name + ": " + recipe.about + "\n";
  return out +
         "\nA PATH is a text file (a line <|endoftext|> ends a document), *.jsonl, *.json, *.csv,\n"
         "*.html, any of them as .gz, .zst or .xz, a folder of such files, or - for stdin. With\n"
         "fewer than 20 documents the split is by position: the end of the text is validation\n"
         "and test.\n"
         "Example: normlab corpus janeausten --out corpus\n";
}

Usage usage() {
  return {"normlab corpus",
          "fetches or reads text, cleans it and splits it into train, valid and test",
          {{"NAME|PATH", "a corpus by name (below), or text", Count::many}},
          {{"out", "DIR", "folder to write", "", Arity::required},
           {"field", "NAME", "key of the text in JSON objects, column of a CSV file; given, stdin is JSONL",
            "text"},
           {"valid", "SHARE", "share of the text for validation", "0.05"},
           {"test", "SHARE", "share of the text for the final test", "0.05"},
           {"seed", "N", "of the split", "1"},
           {"cache", "DIR", "where fetched packages are kept (default: ~/.cache/normlab)"},
           {"invalid-utf8", "fail|replace", "what to do about bytes that are not UTF-8", "fail"},
           {"no-clean", "", "keep the text's bytes as they are: no NFC, no change to white space"},
           {"keep-duplicates", "", "keep documents that are exact copies of earlier ones"},
           {"json", "", "print manifest.json on standard output"}},
          notes()};
}

/// What is written must neither take the place of what was read nor be read by the next such command.
void check_apart(const std::string& input, const std::string& folder) {
  data::check_outside(folder, input);
  for (const char* name :
       {"train.txt", "valid.txt", "test.txt", "train.jsonl", "valid.jsonl", "test.jsonl", "manifest.json"})
    engine::check(!engine::same_file(folder + "/" + name, input), input,
                  ": would be replaced by the corpus that is made of it; choose another folder");
}

}  // namespace

int cmd_corpus(int argc, char** argv) {
  const Arguments args(usage(), argc, argv);
  ignore_broken_pipes();
  data::CorpusOptions options;
  if (args.on("no-clean")) options.cleaning = data::Cleaning::utf8_only;
  if (args.text("invalid-utf8") == "replace") options.invalid = data::InvalidUtf8::replace;
  options.keep_duplicates = args.on("keep-duplicates");
  options.valid = args.number("valid", 0, 1);
  options.test = args.number("test", 0, 1);
  options.seed = uint64_t(args.integer("seed", 0, INT64_MAX));
  const std::string cache = args.given("cache") ? args.text("cache") : data::default_cache();

  data::CorpusBuilder builder(options, args.text("out"));
  const auto add = [&](data::Document&& document) { builder.add(std::move(document)); };
  data::CorpusSource source{.licence = "", .origin = engine::Json::array()};
  for (const auto& name : args.positionals()) {
    const data::Recipe* recipe = data::find_recipe(name);
    data::CorpusSource part{name, "not stated", {{"path", name}}};
    if (recipe != nullptr) {
      part = data::read_recipe(*recipe, cache, add);
    } else {
      std::vector<std::string> names;
      for (const auto& r : data::recipes()) names.push_back(r.name);
      engine::check(
          name == "-" || engine::file_exists(name), name,
          ": neither a file nor a corpus by name",
          engine::near_hint(name, names, " (nearest name: ", ")"));
      check_apart(name, args.text("out"));
      data::read_documents(name, {args.text("field"), args.given("field")}, add);
    }
    source.name += (source.name.empty() ? "" : " + ") + part.name;
    source.licence += (source.licence.empty() ? "" : " + ") + part.licence;
    source.origin.push_back(part.origin);
    engine::log_info(name, ": ", builder.documents(), " documents so far");
  }
  const engine::Json manifest = builder.write(source);
  for (const auto& file : manifest["files"])
    engine::log_info(args.text("out"), "/", file["file"].get<std::string>(), ": ",
                     engine::human_bytes(file["bytes"].get<double>()), ", ", file["documents"].get<int64_t>(),
                     " documents");
  if (args.on("json")) std::printf("%s\n", engine::json_text(manifest, 1).c_str());
  return 0;
}

}  // namespace train
