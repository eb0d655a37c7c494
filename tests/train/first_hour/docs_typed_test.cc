// The commands of docs/ do what the pages say: those that take no hours are typed in order in a folder that
// has, in small, what the pages name, budgets cut. Read first: documents_test.cc, which does it for
// README.md.
#include <catch2/catch.hpp>
#include <set>

#include "engine/base/folder.h"
#include "engine/base/json.h"
#include "temporary_folder.h"
#include "typed.h"

namespace {

/// A text, token shards, a masked run, a folder of Hugging Face's, GLUE and zero-shot tasks of a few rows.
constexpr const char* kMaterial = R"(set -e
mkdir -p docs glue/RTE piqa
ln -s "$CONFIGS" docs/configs
cp "$CONFIGS/../norm-book.md" docs
for i in $(seq 1500); do echo "The $((i % 37)) men of hill $((i % 11)) came down to the house."; done > corpus.txt
for copy in input.txt wiki.train.tokens wiki.valid.tokens; do cp corpus.txt $copy; done
printf 'the men came down' > text
normlab corpus corpus.txt --out demo/corpus --quiet
ln -s demo/corpus corpus
normlab tokenizer train --input corpus.txt --vocab-size 300 --special '<|endoftext|>' --out demo/tokenizer --quiet
normlab prepare --tokenizer demo/tokenizer --input demo/corpus --out demo/tokens --quiet
cp -r demo/tokenizer demo/tokens demo/corpus
normlab tokenizer train --input corpus.txt --vocab-size 288 --special '<s>' --special '<pad>' --special '</s>' --special '<mask>' --out demo-mlm/tokenizer --quiet
normlab prepare --tokenizer demo-mlm/tokenizer --input demo/corpus --units line --out demo-mlm/tokens --quiet
normlab train --config docs/configs/demo-mlm.json --set budget.seconds=0 budget.steps=2 schedule.warmup=1 --out mlm-run --quiet
normlab train --config docs/configs/demo.json --set budget.seconds=0 budget.steps=2 schedule.warmup=1 model.norms=pre_ln model.positions=learned model.bias=true --out hf-run --quiet
normlab convert --from normlab --to hf hf-run gpt2 --quiet
ln -s gpt2 MODEL_FOLDER
for split in train dev test; do
  printf 'index\tsentence1\tsentence2\tlabel\n' > glue/RTE/$split.tsv
  for i in $(seq 0 7); do
    printf '%d\tthe men came down\tthe house\t%s\n' $i $([ $((i % 2)) = 0 ] && echo entailment || echo not_entailment) >> glue/RTE/$split.tsv
  done
done
for i in 0 1 2 3; do
  echo '{"goal": "come down", "sol1": "by the hill", "sol2": "by the house"}' >> piqa/valid.jsonl
  echo $((i % 2)) >> piqa/valid-labels.lst
  echo '{"ind": '$i', "activity_label": "hill", "ctx_a": "the men", "ctx_b": "came", "endings": ["down", "up", "house", "by"], "label": '$i'}' >> hellaswag_val.jsonl
done
)";

/// The tokenizer's older files, as GPT-2 and fairseq have them, and a token file of llm.c's.
void write_older_files(const std::string& folder) {
  const engine::Json model = engine::read_json(folder + "/demo/tokenizer/tokenizer.json")["model"];
  engine::write_file(folder + "/encoder.json", model["vocab"].dump());
  std::string merges = "#version: 0.2\n", dictionary;
  for (const engine::Json& merge : model["merges"])
    merges += (merge.is_string() ? merge.get<std::string>()
                                 : merge[0].get<std::string>() + " " + merge[1].get<std::string>()) +
              "\n";
  for (const auto& [token, id] : model["vocab"].items()) dictionary += id.dump() + " 1\n";
  engine::write_file(folder + "/vocab.bpe", merges);
  engine::write_file(folder + "/dict.txt", dictionary);
  std::vector<int32_t> header(256, 0);
  std::vector<uint16_t> ids(3000, 7);
  header[0] = 20240520, header[1] = 1, header[2] = int32_t(ids.size());
  engine::write_file(folder + "/fineweb_train_000001.bin",
                     std::string(reinterpret_cast<const char*>(header.data()), header.size() * 4) +
                         std::string(reinterpret_cast<const char*>(ids.data()), ids.size() * 2));
}

/// Why a line is not typed; empty: it is.
std::string skipped(const std::string& command) {
  static const std::pair<const char*, const char*> reasons[] = {
      {"mpirun", "several processes have tests of their own"},
      {"srun", "there is no SLURM"},
      {"--task mnli", "RTE stands for all of GLUE"},
      {"papers/wikitext-103.json", "247 million parameters"}};
  for (const auto& [part, reason] : reasons)
    if (command.find(part) != std::string::npos) return reason;
  return command.starts_with("normlab ") ? "" : "no command of the program";
}

/// The command with budgets and lists cut to what takes seconds.
std::string cut(std::string command) {
  if (const size_t comment = command.find("   #"); comment != std::string::npos) command.resize(comment);
  command = std::regex_replace(command, std::regex("--steps [0-9]+"), "--steps 3");
  command = std::regex_replace(command, std::regex("--at 1,[0-9]+"), "--at 1,3");
  command =
      std::regex_replace(command, std::regex("--lr [^ ]+ --seeds 1,2,3"), "--lr 1e-3 --seeds 1 --epochs 1");
  const bool has_config = command.find("--config docs/configs/") != std::string::npos;
  if (command.starts_with("normlab train") && has_config)
    command += " --set budget.seconds=0 budget.steps=3 schedule.warmup=1";
  if (command.starts_with("normlab probe") && has_config)
    command += " --set schedule.warmup=1";
  if (command.starts_with("normlab probe stability")) command += " --seeds 1 --ramp 0.25";
  if (command.find("--relative-to") != std::string::npos) command += " --window 1..3";
  if (command.starts_with("normlab compare")) command += " --dry-run";
  if (command.starts_with("normlab generate")) command += " --tokens 8";
  if (command.starts_with("normlab bench")) command += " --repeats 1";
  return command;
}

/// What a command makes: a page may show two that make the same, one after the other.
std::string output_of(const std::string& command) {
  std::smatch found;
  return std::regex_search(command, found, std::regex(" --out ([^ ]+)")) ? found[1].str() : "";
}

}  // namespace

TEST_CASE("docs/: the short commands, typed in order where what they name is at hand, do their work",
          "[medium]") {
  const TemporaryFolder folder;
  int code = 0, typed = 0;
  const std::string said =
      run_in(folder.path, "export CONFIGS=" SOURCE_DIR "/docs/configs\n" + std::string(kMaterial), &code);
  INFO(said);
  REQUIRE(code == 0);
  write_older_files(folder.path);
  std::vector<std::string> pages = {"configs/papers/README.md"};
  for (const std::string& name : engine::list_folder(SOURCE_DIR "/docs"))
    if (name.ends_with(".md") && std::isdigit(uint8_t(name[0]))) pages.push_back(name);
  std::sort(pages.begin(), pages.end());
  for (const std::string& name : pages) {
    if (name.starts_with("14-")) engine::write_file(folder / "ids.json", R"({"input_ids": [[5, 6, 7, 8]]})");
    std::set<std::string> made;
    for (const Block& block : blocks_of(page("docs/" + name)))
      for (const Typed& line : typed_in(block)) {
        static const std::regex message("normlab [a-z -]+: .*");
        if (!skipped(line.command).empty() || std::regex_match(line.command, message)) continue;
        const std::string out = output_of(line.command);
        if (line.command.find("--resume") == std::string::npos && !out.empty() && !made.insert(out).second)
          run_in(folder.path, "rm -rf " + out, &code);
        const std::string printed = run_in(folder.path, cut(line.command), &code);
        INFO("docs/" << name << ": " << line.command << "\n" << printed);
        // A page that quotes the program's complaint shows a mistake.
        const bool mistake = !line.quoted.empty() && std::regex_match(line.quoted[0], message);
        CHECK(code == (mistake ? 2 : 0));
        for (const std::string& quoted : line.quoted) CHECK(printed.find(quoted) != std::string::npos);
        ++typed;
      }
  }
  CHECK(typed >= 35);
}
