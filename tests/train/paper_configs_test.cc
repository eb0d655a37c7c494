// docs/configs/papers: every config and every override of its README runs dry, and has the numbers of the papers.
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>

#include "data/train_tokenizer.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "models/parameter_list.h"
#include "run_program.h"
#include "temporary_folder.h"
#include "train/config.h"
#include "train/run_data.h"
#include "train/schedule.h"

using namespace train;
using Catch::Matchers::Contains;
using engine::Json;

namespace {

const std::string kFolder = SOURCE_DIR "/docs/configs/papers/";

/// A text to stand for the papers' corpora: a dry run opens its data.
struct Corpus : TemporaryFolder {
  Corpus() {
    data::train_tokenizer({}, {.kind = data::TokenizerKind::byte, .special = {"<s>", "<pad>", "</s>", "<mask>"}})
        ->save(*this / "tokenizer");
    std::string text;
    for (int i = 0; i < 2000; ++i) text += "line " + std::to_string(i) + " of a text\n";
    engine::write_file(*this / "text.txt", text);
    for (const char* part : {"train", "valid"})
      REQUIRE(run_normlab("prepare --units line --tokenizer " + (*this / "tokenizer") + " --input " + (*this / "text.txt") +
                         " --out " + (*this / part))
                  .code == 0);
  }
};

std::string dry_run(const Corpus& corpus, const std::string& name, const std::string& overrides = "") {
  const ProgramEnd out = run_normlab("train --dry-run --config " + kFolder + name + " --set data.tokenizer=" +
                                (corpus / "tokenizer") + " --set data.train=" + (corpus / "train") +
                                " --set data.valid=" + (corpus / "valid") + " --out " + (corpus / "none") + " " + overrides);
  INFO(name << " " << overrides << "\n" << out.output);
  CHECK(out.code == 0);
  CHECK_THAT(out.output, Contains("memory: "));
  return out.output;
}

struct Facts {
  int64_t parameters, tokens_an_update;
  double lr;
  int64_t updates;
};
Facts facts_of(const std::string& name) {
  const TrainConfig config = load_config(kFolder + name, {});
  const models::ModelConfig model = resolve_model_config(config);
  const int64_t context = config.data.context > 0 ? config.data.context : model.context;
  const int64_t tokens = config.data.batch * config.data.accumulate * context;
  const int64_t updates = config.budget.steps > 0 ? config.budget.steps : config.budget.tokens / tokens;
  return {models::parameter_count(model), tokens, config.optim.lr, updates};
}

}  // namespace

TEST_CASE("the papers' configs have the papers' sizes, batches, rates and lengths") {
  const std::map<std::string, Facts> papers = {
      {"normformer-gpt-125m.json", {124'469'904, 524'288, 3e-3, 572'204}},
      {"normformer-gpt-355m.json", {354'986'368, 524'288, 1e-3, 572'204}},
      {"normformer-gpt-1.3b.json", {1'313'952'512, 1'048'576, 6e-4, 286'102}},
      {"normformer-gpt-2.7b.json", {2'649'544'704, 1'048'576, 6e-4, 286'102}},
      {"normformer-ablation.json", {124'479'120, 524'288, 3e-3, 100'000}},
      {"normformer-roberta-base.json", {125'507'984, 1'048'576, 5e-4, 125'000}},
      {"wikitext-103.json", {247'097'472, 73'728, 1.0, 286'000}},
      {"hybridnorm-151m.json", {151'399'872, 4'194'304, 3e-4, 47'683}},
      {"hybridnorm-285m.json", {285'228'288, 4'194'304, 3e-4, 47'683}},
      {"hybridnorm-550m.json", {550'533'120, 4'194'304, 3e-4, 95'367}},
      {"hybridnorm-543m-deep.json", {543'722'944, 4'194'304, 3e-4, 95'367}},
      {"hybridnorm-1.2b.json", {1'178'639'360, 4'194'304, 3e-4, 238'418}},
      {"moe-1b-7b.json", {-1, 4'194'304, 4e-4, 119'209}},
  };
  const Corpus corpus;
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".json") continue;
    const std::string name = entry.path().filename();
    INFO(name);
    const auto found = papers.find(name);
    REQUIRE(found != papers.end());
    const Facts ours = facts_of(name);
    if (found->second.parameters > 0) CHECK(ours.parameters == found->second.parameters);
    CHECK(ours.tokens_an_update == found->second.tokens_an_update);
    CHECK(ours.lr == found->second.lr);
    CHECK(ours.updates == found->second.updates);
    dry_run(corpus, name);
    ++files;
  }
  CHECK(files == papers.size());
}

TEST_CASE("rows of the papers' tables run dry: baselines, Table 5's settings, Table 6's baseline") {
  const Corpus corpus;
  dry_run(corpus, "normformer-gpt-125m.json", "--set model.norms=pre_ln --set optim.lr=6e-4");
  CHECK_THAT(dry_run(corpus, "normformer-gpt-2.7b.json",
                     "--set model.norms=pre_ln --set optim.lr=1.6e-4 --set model.activation=gelu"),
             Contains(" years for 300.0B tokens, 286102 updates"));
  dry_run(corpus, "normformer-gpt-1.3b.json", "--set model.norms=normformer+r");
  for (const char* setting :
       {"--set optim.lr=1e-3", "--set schedule.warmup=6000", "--set optim.clip=0.1",
        "--set data.context=2048 --set data.batch=4 --set dropout.residual=0.1 --set dropout.attention=0.1"})
    dry_run(corpus, "normformer-ablation.json", setting);
  for (const char* placement : {"pre_ln", "normformer", "normformer_no_postattn", "normformer_no_ffnln",
                                "normformer_no_headscale", "normformer_3more"})
    dry_run(corpus, "normformer-ablation.json", std::string("--set model.norms=") + placement);
  dry_run(corpus, "hybridnorm-550m.json", "--set model.norms=pre_rms --set init=normal");
  dry_run(corpus, "wikitext-103.json", "--set model.norms='attn{in=ln} ffn{in=ln}'");
}

TEST_CASE("schedules of the papers' configs: a first rate of 0, the peak, the end") {
  const auto rate = [](const char* name, int64_t completed) {
    const TrainConfig config = load_config(kFolder + name, {});
    return Schedule(config.schedule, config.optim.lr, config.budget.steps).rate(completed);
  };
  CHECK(rate("normformer-gpt-125m.json", 0) == 0);
  CHECK(rate("normformer-gpt-125m.json", 750) == 3e-3);
  CHECK(rate("normformer-gpt-125m.json", 572'204) == Approx(0).margin(1e-15));
  CHECK(rate("wikitext-103.json", 0) == 1e-7);
  CHECK(rate("wikitext-103.json", 16'000) == 1.0);
  CHECK(rate("wikitext-103.json", 285'999) == Approx(1e-4).margin(1e-6));
  CHECK(rate("hybridnorm-550m.json", 0) == Approx(3e-4 / 2000));
  CHECK(rate("hybridnorm-550m.json", 1999) == Approx(3e-4));
  CHECK(rate("hybridnorm-1.2b.json", 238'418) == Approx(3e-5));
}

TEST_CASE("a masked preset is not trained as a causal model without a word") {
  const auto objective = [](const std::vector<std::string>& settings) {
    return resolve_model_config(load_config("", settings)).objective;
  };
  CHECK_THROWS_WITH(objective({"model.preset=tiny-mlm"}),
                    "model.preset: tiny-mlm is a masked model, which needs data.sampler=mlm");
  CHECK(objective({"model.preset=tiny-mlm", "data.sampler=mlm"}) == models::Objective::mlm);
  CHECK(objective({"model.preset=tiny-mlm", "model.objective=clm"}) == models::Objective::clm);
  CHECK(objective({"model.preset=tiny-clm", "data.sampler=mlm"}) == models::Objective::mlm);
}

TEST_CASE("loss scales of the papers' configs grow as on eight processes, whatever the number of ours") {
  // fairseq: 2^14 / processes / micro-batches of each.
  const std::map<std::string, int64_t> micro_batches = {
      {"normformer-gpt-125m.json", 2},  {"normformer-gpt-355m.json", 2},
      {"normformer-ablation.json", 2},  {"normformer-gpt-1.3b.json", 16},
      {"normformer-gpt-2.7b.json", 16}, {"normformer-roberta-base.json", 16}};
  for (const auto& [name, each] : micro_batches) {
    INFO(name);
    const TrainConfig config = load_config(kFolder + name, {});
    CHECK(config.precision == PrecisionKind::f16);
    CHECK(config.loss_scale.window == 16384 / 8 / each);
    CHECK(config.loss_scale.init == (name == "normformer-roberta-base.json" ? 128 : 4));
  }
}
