// Zero-shot tasks against lm-eval's own requests, log-likelihoods, choices and metrics, on two small models.
#include <catch2/catch.hpp>
#include <cmath>

#include "data/tasks.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "largest_gap.h"
#include "shared_data.h"
#include "temporary_folder.h"
#include "train/evaluation/zero_shot.h"
#include "train/open_model.h"

using namespace train;
using engine::Json;

namespace {

struct Scored {
  ZeroShotTask task;
  std::vector<data::ChoiceItem> items;
  std::vector<ScoredQuestion> questions;
  std::vector<std::vector<LogLikelihood>> neutral;
  int64_t cut = 0;
};

Scored score(const OpenModel& open, const std::string& name, const std::string& path, int64_t limit,
             data::Protocol protocol = data::Protocol::lm_eval, int64_t context = 0) {
  Scored out{.task = ZeroShotTask::of(name, protocol)};
  out.items = read_questions(out.task, path, {.protocol = protocol}, limit);
  if (context == 0) context = open.model->config().context;
  std::vector<ScoreFamily> families, neutral;
  for (const data::ChoiceItem& item : out.items) {
    ScoreFamily& family = families.emplace_back();
    ScoredQuestion& question = out.questions.emplace_back();
    question.label = item.label;
    neutral.emplace_back();
    for (const data::Choice& choice : item.choices) {
      const TextStart start{.alone = int32_t(open.tokenizer->roles().end)};
      family.push_back(encode_request(*open.tokenizer, choice, start));
      const int64_t n = int64_t(family.back().ids.size()), scored = family.back().scored;
      question.choices.push_back(
          {.context_tokens = n - scored, .tokens = scored, .length = data::choice_length(choice)});
      out.cut += n > context + 1;
      if (!out.task.neutral.empty())
        neutral.back().push_back(
            encode_request(*open.tokenizer, {out.task.neutral, choice.continuation}, start));
    }
  }
  const ScoreOptions options{.context = context, .vocabulary = open.vocabulary, .batch = 7};
  const auto scores = log_likelihoods(*open.model, families, options);
  if (!out.task.neutral.empty()) out.neutral = log_likelihoods(*open.model, neutral, options);
  for (size_t i = 0; i < scores.size(); ++i)
    for (size_t c = 0; c < scores[i].size(); ++c) {
      out.questions[i].choices[c].score = scores[i][c];
      if (!out.neutral.empty()) out.questions[i].choices[c].neutral = out.neutral[i][c].sum;
    }
  return out;
}

std::string own_file(const std::string& folder, const std::string& task) {
  const std::string extension = task == "sciq" ? ".json" : task == "storycloze" ? ".csv" : ".jsonl";
  return folder + "/zeroshot/own_rows/" + task + extension;
}

void check_metric(const Json& ours, const Json& expected, const std::string& name,
                  const std::string& theirs) {
  INFO(name);
  REQUIRE(ours.contains(name));
  CHECK(ours[name].get<double>() == Approx(expected[theirs].get<double>()).epsilon(1e-9));
}

// Everything that the reference has about one task of one model.
void compare(const OpenModel& open, const std::string& key, const Json& expected, const Json& requests,
             const std::string& shared, double limit) {
  const bool own = key.starts_with("own/"), exact = limit < 1e-6;
  const std::string file_name = own ? key.substr(4) : key;
  const std::string task = file_name == "hellaswag_raw" ? "hellaswag" : file_name;
  const std::string path = own ? own_file(shared + "/reference", file_name) : shared + "/data/" + task;
  const Scored ours = score(open, task, path, 100);
  REQUIRE(ours.items.size() == expected["n"].get<size_t>());
  CHECK(ours.cut == expected["requests_cut_on_the_left"].get<int64_t>());
  double worst = 0;
  for (size_t i = 0; i < ours.items.size(); ++i) {
    INFO("document " << i);
    const Json& doc = expected["docs"][i];
    const auto& choices = ours.questions[i].choices;
    REQUIRE(choices.size() == doc["ll"].size());
    for (size_t c = 0; c < choices.size(); ++c) {
      CHECK(ours.items[i].choices[c].context == requests[i]["requests"][c][0].get<std::string>());
      CHECK(ours.items[i].choices[c].continuation == requests[i]["requests"][c][1].get<std::string>());
      CHECK(choices[c].context_tokens == doc["context_tokens"][c].get<int64_t>());
      CHECK(choices[c].tokens == doc["continuation_tokens"][c].get<int64_t>());
      CHECK(choices[c].score.greedy == doc["greedy"][c].get<bool>());
      worst = larger(worst, choices[c].score.sum - doc["ll"][c].get<double>());
      if (doc.contains("ll_unconditional"))
        worst = larger(worst, ours.neutral[i][c].sum - doc["ll_unconditional"][c].get<double>());
    }
    if (task == "lambada") continue;
    CHECK(ours.items[i].label == doc["gold"].get<int>());
    if (!exact) continue;  // in f32 a choice may flip where two are as likely
    for (const auto& [metric, choice] : predictions(ours.task, ours.questions[i])) {
      INFO(metric);
      const std::string name = metric == "acc" ? "pred" : "pred" + metric.substr(3);
      if (doc.contains(name)) CHECK(choice == doc[name].get<int>());
    }
  }
  CHECK(worst < limit);
  if (!exact) return;
  const Json metrics = zero_shot_metrics(ours.task, ours.questions);
  for (const char* name : {"acc", "acc_stderr", "acc_norm", "acc_norm_stderr", "acc_token",
                           "acc_token_stderr", "acc_pmi", "acc_pmi_stderr", "perplexity"})
    if (expected["metrics"].contains(name)) check_metric(metrics, expected["metrics"], name, name);
  if (task == "lambada")  // (lm-eval's own error is a bootstrap's)
    check_metric(metrics, expected["metrics"], "perplexity_stderr", "perplexity_stderr_delta");
  if (!expected["metrics"].contains("gpt3_acc_token")) return;
  const Scored gpt3 = score(open, task, path, 100, data::Protocol::gpt3);
  for (size_t i = 0; i < gpt3.items.size(); ++i) {
    const Json& doc = expected["docs"][i]["gpt3"];
    for (size_t c = 0; c < gpt3.questions[i].choices.size(); ++c) {
      CHECK(std::fabs(gpt3.questions[i].choices[c].score.sum - doc["ll"][c].get<double>()) < limit);
      CHECK(gpt3.questions[i].choices[c].tokens == doc["continuation_tokens"][c].get<int64_t>());
    }
    for (const auto& [metric, choice] : predictions(gpt3.task, gpt3.questions[i]))
      if (metric == "acc_token") CHECK(choice == doc["pred_token"].get<int>());
  }
  const Json gpt3_metrics = zero_shot_metrics(gpt3.task, gpt3.questions);
  check_metric(gpt3_metrics, expected["metrics"], "acc_token", "gpt3_acc_token");
  CHECK(gpt3_metrics.begin().key() == "acc_token");
}

void compare_model(const std::string& name, engine::DType dtype, double limit, const std::string& only = "") {
  const std::string requests_path = shared_path("reference/zeroshot/requests.json");
  const std::string data = shared_path("data");
  if (requests_path.empty() || data.empty()) return;
  const std::string shared = data.substr(0, data.size() - 5);
  const Json requests = engine::read_json(requests_path);
  const Json expected = engine::read_json(shared + "/reference/zeroshot/" + name + ".json");
  const OpenModel open = open_model(shared + "/reference/zeroshot/" + name, nn::Precision::of(dtype));
  for (const auto& [key, task] : expected["tasks"].items()) {
    if (!key.starts_with(only)) continue;
    INFO(name << " " << key);
    compare(open, key, task, requests[key], shared, limit);
  }
}

}  // namespace

TEST_CASE("nine tasks of rows with traps are scored as lm-eval scores them") {
  compare_model("tiny-random", engine::DType::f64, 1e-9, "own/");
  compare_model("tiny-trained", engine::DType::f64, 1e-9, "own/");
}

TEST_CASE("five published files are scored as lm-eval scores them, in f64", "[medium]") {
  compare_model("tiny-random", engine::DType::f64, 1e-9);
  compare_model("tiny-trained", engine::DType::f64, 1e-9);
}

TEST_CASE("f32 log-likelihoods are within a thousandth of f64's", "[medium]") {
  compare_model("tiny-random", engine::DType::f32, 1e-3);
  compare_model("tiny-trained", engine::DType::f32, 1e-3);
}

TEST_CASE("a shorter context cuts requests on the left", "[medium]") {
  const std::string path = shared_path("reference/zeroshot/cut_at_64.json");
  const std::string data = shared_path("data");
  if (path.empty() || data.empty()) return;
  const Json expected = engine::read_json(path);
  const OpenModel open =
      open_model(shared_path("reference/zeroshot/tiny-trained"), nn::Precision::of(engine::DType::f64));
  for (const auto& [task, values] : expected["tasks"].items()) {
    INFO(task);
    const Scored ours = score(open, task, data + "/" + task, 100, data::Protocol::lm_eval, 64);
    CHECK(ours.cut == values["requests_cut_on_the_left"].get<int64_t>());
    size_t at = 0;
    for (const ScoredQuestion& question : ours.questions)
      for (const ScoredChoice& choice : question.choices) {
        CHECK(std::fabs(choice.score.sum - values["ll"][at].get<double>()) < 1e-9);
        CHECK(choice.score.greedy == values["greedy"][at].get<bool>());
        ++at;
      }
    CHECK(at == values["ll"].size());
  }
}

TEST_CASE("raw HellaSwag is cleaned as lm-eval cleans it") {
  const std::string path = shared_path("reference/zeroshot/hellaswag_cleaning.json");
  if (path.empty()) return;
  const Json expected = engine::read_json(path);
  REQUIRE(expected.size() == 6);
  TemporaryFolder files;
  std::string rows;
  for (const Json& row : expected)
    rows += Json({{"ind", 1},
                  {"activity_label", row["activity_label"]},
                  {"ctx_a", row["ctx_a"]},
                  {"ctx_b", row["ctx_b"]},
                  {"endings", row["endings"]},
                  {"label", row["gold"]}})
                .dump() +
            "\n";
  engine::write_file(files / "raw.jsonl", rows);
  const auto items = read_questions(ZeroShotTask::of("hellaswag", data::Protocol::lm_eval),
                                    files / "raw.jsonl", {.protocol = data::Protocol::lm_eval}, 0);
  REQUIRE(items.size() == 6);
  for (size_t i = 0; i < 6; ++i) {
    INFO("row " << i);
    CHECK(items[i].label == expected[i]["gold"].get<int>());
    for (size_t c = 0; c < items[i].choices.size(); ++c) {
      CHECK(items[i].choices[c].context == expected[i]["query"].get<std::string>());
      CHECK(items[i].choices[c].continuation == " " + expected[i]["choices"][c].get<std::string>());
    }
  }
}
