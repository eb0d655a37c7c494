// `normlab train --text` and `--from` as programs: from a text to a trained model, its test and its sample.
#include <zlib.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "data/tokenizer.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/json.h"
#include "engine/base/philox.h"
#include "run_program.h"
#include "temporary_folder.h"
#include "train/metrics.h"

using Catch::Matchers::Contains;
using engine::Json;
using engine::write_file;

namespace {

/// Sentences of a small grammar: something to learn, and enough of it.
std::string sentences(int count, uint64_t seed) {
  const char* who[] = {"the cat", "a dog", "my aunt", "the captain", "every child"};
  const char* does[] = {"sees", "likes", "forgets", "paints", "follows"};
  const char* what[] = {"the sea", "old songs", "a red house", "the road", "his brother"};
  engine::Rng rng{seed, 0};
  std::string text;
  for (int i = 0; i < count; ++i)
    text += std::string(who[rng.below(5)]) + " " + does[rng.below(5)] + " " + what[rng.below(5)] + ".\n";
  return text;
}

const std::string few_steps = " --set budget.steps=12 log.samples=6 threads=1";

ProgramEnd succeed(const std::string& arguments) {
  const ProgramEnd end = run_normlab(arguments);
  INFO(arguments << "\n" << end.output);
  REQUIRE(end.code == 0);
  return end;
}

Json config_of(const std::string& run) { return engine::read_json(run + "/config.json"); }

}  // namespace

TEST_CASE("train --text: one command from a text to a tested model and a sample") {
  const TemporaryFolder folder;
  write_file(folder / "notes.txt", sentences(800, 1));
  const std::string run = folder / "run";
  const ProgramEnd end = succeed("train --text " + folder / "notes.txt" + few_steps + " --out " + run);
  CHECK_THAT(end.output, Contains("tokenizer: 512") && Contains("time: about ") && Contains("config (") &&
                             Contains("perplexity") && Contains("bits a byte"));
  const Json config = config_of(run);
  CHECK(config["model"]["vocab_size"].get<int64_t>() <= 512);
  CHECK(config["budget"]["steps"] == 12);
  CHECK(config["budget"]["seconds"] == 0.0);  // a budget that is given is the only one
  CHECK(config["data"]["train"] == run + "/tokens/train");
  const Json test = engine::read_json(run + "/test.json");
  const double loss = test["results"][0]["loss"].get<double>();
  CHECK(loss > 0.5);
  CHECK(loss < 6.3);  // ln 512
  CHECK(test["data"] == run + "/text/test.txt");
  CHECK(engine::read_file(run + "/sample.txt").size() > 20);
  int samples = 0;
  for (const Json& record : train::read_metrics(run + "/metrics.jsonl")) samples += record.contains("sample");
  CHECK(samples == 2);
  // What was left out of training is left out: no sentence number tells, but the sizes do.
  CHECK(std::filesystem::file_size(run + "/text/train.txt") >
        8 * std::filesystem::file_size(run + "/text/test.txt"));
  // The folder holds a run now; going on needs no text, and ends with the same test.
  CHECK(run_normlab("train --text " + folder / "notes.txt --out " + run).code == 2);
  CHECK_THAT(succeed("train --resume --out " + run + " --set budget.steps=14").output,
             Contains("bits a byte"));
}

TEST_CASE("train --text: JSONL, gzip, a split folder and several files, --json and --quiet") {
  const TemporaryFolder folder;
  std::string jsonl;
  for (int i = 0; i < 40; ++i) jsonl += Json{{"body", sentences(20, uint64_t(i))}}.dump() + "\n";
  const std::string packed = folder / "docs.jsonl.gz";
  gzFile out = gzopen(packed.c_str(), "wb");
  REQUIRE(gzwrite(out, jsonl.data(), unsigned(jsonl.size())) == int(jsonl.size()));
  gzclose(out);
  const ProgramEnd quiet = succeed("train --quiet --json --text " + packed + " --field body" + few_steps +
                                   " --out " + folder / "a");
  // Nothing else is said but warnings.
  const Json summary = Json::parse(quiet.output.substr(quiet.output.find("{\n")));
  CHECK(summary["command"] == "train");
  CHECK(summary["steps"] == 12);
  CHECK(summary["test"]["results"][0]["loss"].get<double>() > 0);
  CHECK(config_of(folder / "a")["data"]["sampler"] == "blocks");

  engine::make_directories(folder / "split");
  for (const char* part : {"train", "valid"})
    write_file(folder / "split/" + std::string(part) + ".txt", sentences(part[0] == 't' ? 600 : 100, 7));
  succeed("train --text " + folder / "split" + few_steps + " --out " + folder / "b");
  CHECK_FALSE(engine::is_directory(folder / "b/text"));  // split already: nothing is copied
  CHECK(engine::read_json(folder / "b/test.json")["data"] == folder / "b/tokens/valid");

  write_file(folder / "one.txt", sentences(200, 3));
  write_file(folder / "two.txt", sentences(200, 4));
  succeed("train --text " + folder / "one.txt " + folder / "two.txt" + few_steps + " --out " + folder / "c");
  const Json manifest = engine::read_json(folder / "c/text/manifest.json");
  CHECK(manifest["documents"]["read"] == 2);
}

TEST_CASE("train --text: a masked model by one key, and a model by name") {
  const TemporaryFolder folder;
  write_file(folder / "t.txt", sentences(600, 1));
  succeed("train --text " + folder / "t.txt --set data.sampler=mlm" + few_steps + " --out " + folder / "m");
  const Json config = config_of(folder / "m");
  CHECK(config["model"]["objective"] == "mlm");
  CHECK(config["init"] == "megatron");
  const std::string sample = engine::read_file(folder / "m/sample.txt");
  CHECK_THAT(sample, Contains("masked") && Contains("filled") && Contains("</s>"));
  // Every seventh of 60 tokens: the ends of lines are tokens, not the letters that they are shown by.
  int masks = 0;
  for (size_t at = 0; (at = sample.find("<mask>", at)) != std::string::npos; ++at) ++masks;
  CHECK(masks == 8);
  // An update whose draw masks nothing is passed over.
  succeed("train --text " +
          folder /
              "t.txt --set data.sampler=mlm data.context=16 data.batch=1 data.accumulate=1 "
              "data.mask_probability=0.03 eval.batches=0 log.every=1" +
          few_steps + " --out " + folder / "few");
  const auto records = train::read_metrics(folder / "few/metrics.jsonl");
  CHECK(std::any_of(records.begin(), records.end(),
                    [](const Json& r) { return r.value("applied", true) == false && r["loss"].is_null(); }));
  succeed("train --text " + folder / "t.txt --set model.preset=char-clm model.layers=1" + few_steps +
          " --out " + folder / "p");
  CHECK(config_of(folder / "p")["model"]["width"] == 128);
  succeed("train --text " + folder / "t.txt --set model.preset=char-mlm model.layers=1" + few_steps +
          " --out " + folder / "q");
  CHECK(config_of(folder / "q")["model"]["objective"] == "mlm");
}

TEST_CASE("train --text: sizes, batch and budget that are given are those that the rest is planned for") {
  const TemporaryFolder folder;
  write_file(folder / "t.txt", sentences(800, 1));
  const std::string text = "train --text " + folder / "t.txt --set threads=1 log.samples=0 ";
  succeed(text + "model.width=48 model.layers=1 budget.epochs=4 data.batch=4 optim.lr=1e-5 --out " +
          folder / "r");
  const Json config = config_of(folder / "r");
  CHECK(config["model"]["width"] == 48);
  CHECK(config["model"]["ffn_width"] == 192);
  CHECK(config["model"]["heads"] == 2);
  CHECK(config["schedule"]["min_lr"].get<double>() < 1e-5);
  const auto records = train::read_metrics(folder / "r/metrics.jsonl");
  const int64_t updates = records.back()["step"].get<int64_t>(),
                every = config["eval"]["every"].get<int64_t>();
  CHECK(updates / every >= 15);  // of that budget, not of 30 readings
  CHECK(updates / every <= 25);
  const auto refused = [&](const std::string& more, const std::string& complaint) {
    const ProgramEnd bad = run_normlab(text + more + " --out " + folder / "no");
    CHECK(bad.code == 2);
    CHECK_THAT(bad.last_line(), Contains(complaint));
    CHECK_FALSE(engine::file_exists(folder / "no/tokens"));  // before the text is read
  };
  refused("data.train=x", "--text makes the data");
  refused("loss_scale.min=-1", "--set loss_scale.min=-1");
}

TEST_CASE("train --text --resume: begins a run or goes on with it, wherever it has gone") {
  const TemporaryFolder folder;
  write_file(folder / "t.txt", sentences(800, 1));
  const std::string text = "train --text " + folder / "t.txt --resume --set threads=1 log.samples=0 ";
  succeed(text + "budget.steps=4 --out " + folder / "r");
  CHECK_THAT(succeed(text + "budget.steps=6 --out " + folder / "r").output, Contains("resuming at step 4"));
  engine::move_path(folder / "r", folder / "s");
  CHECK_THAT(succeed("train --resume --set budget.steps=8 --out " + folder / "s").output,
             Contains("resuming at step 6"));
  CHECK(config_of(folder / "s")["data"]["train"] == folder / "s/tokens/train");
  const auto refused = [&](const std::string& more, const std::string& complaint) {
    const ProgramEnd bad = run_normlab("train --resume --out " + folder / "s --set " + more);
    CHECK(bad.code == 2);
    CHECK_THAT(bad.last_line(), Contains(complaint));
  };
  refused("data.valid=elsewhere",
          "data.valid: elsewhere: not there (the path begins where the run was started)");
  refused("from=" + folder / "s", "began from initial values");
  refused("optim.name=sgd budget.steps=9", "keeps other moments than this optim.name");
}

TEST_CASE("train --from: other data and the weights of a run, whose tokenizer comes along") {
  const TemporaryFolder folder;
  write_file(folder / "first.txt", sentences(800, 1));
  write_file(folder / "other.txt", sentences(800, 2));
  const std::string first = folder / "first", second = folder / "second";
  succeed("train --text " + folder / "first.txt --set budget.steps=60 threads=1 --out " + first);
  const ProgramEnd end =
      succeed("train --from " + first + " --text " + folder / "other.txt" + few_steps + " --out " + second);
  CHECK_THAT(end.output, Contains("starting from the weights of"));
  const auto records = train::read_metrics(second + "/metrics.jsonl");
  const double began = records[0]["loss"].get<double>();
  const double fresh = train::read_metrics(first + "/metrics.jsonl")[0]["loss"].get<double>();
  CHECK(began < fresh - 1);  // it knows what the first run learned
  CHECK(config_of(second)["model"] == config_of(first)["model"]);
  CHECK(data::load_tokenizer(second + "/checkpoints/step-00000012")->hash() ==
        data::load_tokenizer(first + "/tokenizer")->hash());
  // A run that is resumed does not start from there again.
  CHECK_THAT(succeed("train --resume --out " + second + " --set budget.steps=13").output,
             !Contains("starting from the weights"));
  // Other sizes than the weights have are named.
  const ProgramEnd refused = run_normlab("train --from " + first + " --text " + folder / "other.txt" +
                                         few_steps + " --set model.norms=post_ln --out " + folder / "no");
  CHECK(refused.code == 2);
  CHECK_THAT(refused.output, Contains("`from` gives weights to their own model; model.norms is"));
  // Other data under a run is no silent change.
  const ProgramEnd other = run_normlab("train --resume --out " + second +
                                       " --set budget.steps=20 data.train=" + first + "/tokens/train");
  CHECK(other.code == 2);
  CHECK_THAT(other.last_line(), Contains("data.train " + first + "/tokens/train") && Contains("--from"));
}

TEST_CASE("train --dry-run: says time before memory, checks what a run checks, and leaves nothing") {
  const TemporaryFolder folder;
  write_file(folder / "t.txt", sentences(800, 1));
  const std::string text = "train --dry-run --text " + folder / "t.txt --out " + folder / "run";
  const ProgramEnd end = succeed(text + few_steps);
  const size_t time = end.output.find("\ntime: about "), memory = end.output.find("\nmemory: ");
  REQUIRE(time != std::string::npos);
  CHECK(time < memory);
  CHECK_FALSE(engine::file_exists(folder / "run"));
  const auto refused = [&](const std::string& more, const std::string& complaint) {
    const ProgramEnd bad = run_normlab(text + more);
    INFO(bad.output);
    CHECK(bad.code == 2);
    CHECK_THAT(bad.last_line(), Contains(complaint));
  };
  refused(" --set init=gtp2", "nearest: \"gpt2\"");
  refused(" --set model.positions=learned data.context=2000", "learned positions");
  refused(" --set budget.epochs=0 budget.steps=0 budget.seconds=0 budget.tokens=-1",
          "--set budget.tokens=-1");
  // An hour for a text that is read 30 times before: the plan and the time that is foreseen agree.
  const ProgramEnd hour = succeed(text + " --set budget.seconds=1h");
  CHECK_THAT(hour.output, Contains("the text 30 times") && Contains("budget.epochs=100 makes it longer"));
  CHECK_THAT(hour.output.substr(hour.output.find("\ntime: ")), !Contains("1:00:00"));
  // One speed is foreseen, not two, also where the cache that keeps it cannot be written.
  const auto between = [&](const std::string& text_of, const std::string& before, const std::string& behind) {
    const size_t begin = text_of.find(before) + before.size();
    return text_of.substr(begin, text_of.find(behind, begin) - begin);
  };
  write_file(folder / "no-folder", "");
  const ProgramEnd uncached =
      run_normlab(text + " --set precision=bf16", "XDG_CACHE_HOME=" + folder / "no-folder");
  for (const std::string& output : {end.output, hour.output, uncached.output})
    CHECK(between(output, " tokens at ", " a second") == between(output, "\ntime: about ", " tokens/s"));
  succeed("train --text " + folder / "t.txt" + few_steps + " --out " + folder / "run");
  refused("", "already holds a run");
  CHECK(run_normlab("train --dry-run --resume --out " + folder / "run --set data.train=/nowhere").code == 2);
}

TEST_CASE("train --text: what is no text, too little, or nowhere is one line and 2") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& path, const std::string& complaint) {
    const ProgramEnd end = run_normlab("train --text " + path + " --out " + folder / "run");
    INFO(end.output);
    CHECK(end.code == 2);
    CHECK_THAT(end.last_line(), Contains(complaint));
    CHECK_FALSE(engine::file_exists(folder / "run/config.json"));
  };
  refused(folder / "none.txt", "none.txt: no such file or folder, and no corpus by that name");
  refused("janeausen", "nearest name: janeausten");
  write_file(folder / "short.txt", "Too short.\n");
  refused(folder / "short.txt", "too few to train on");
  write_file(folder / "picture.txt",
             std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) + std::string(5000, '\0'));
  refused(folder / "picture.txt", "PNG");
}

TEST_CASE("train --from: a Hugging Face folder gives its weights, its tokenizer and its way of training") {
  const TemporaryFolder folder;
  write_file(folder / "t.txt", sentences(800, 1));
  const std::string run = folder / "run", hf = folder / "hf";
  succeed("train --text " +
          folder / "t.txt --set budget.steps=60 threads=1 model.positions=learned model.bias=true " +
          "model.norms=pre_ln --out " + run);
  succeed("convert --from normlab --to hf " + run + " " + hf);
  succeed("train --from " + hf + " --text " + folder / "t.txt" + few_steps + " --out " + folder / "on");
  CHECK(config_of(folder / "on")["data"]["tokenizer"] == hf);
  const double began = train::read_metrics(folder / "on/metrics.jsonl")[0]["loss"].get<double>();
  const double fresh = train::read_metrics(run + "/metrics.jsonl")[0]["loss"].get<double>();
  CHECK(began < fresh - 1);
  // Shards of another tokenizer are no data for it.
  const ProgramEnd other =
      run_normlab("train --from " + hf + " --set data.train=" + run + "/tokens/train" +
                  " data.tokenizer=" + run + "/tokenizer budget.steps=1 --out " + folder / "x");
  INFO(other.output);
  CHECK(other.code == 0);  // the same tokenizer by another name is
}
