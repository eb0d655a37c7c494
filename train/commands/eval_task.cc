// normlab eval TASK: zero-shot tasks. Read first: evaluation/zero_shot.h, evaluation/task_report.h.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <numeric>
#include <optional>
#include <span>

#include "data/task_records.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/stop.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/commands/compute_flags.h"
#include "train/commands/output_file.h"
#include "train/evaluation/count_progress.h"
#include "train/evaluation/json_numbers.h"
#include "train/evaluation/task_report.h"
#include "train/evaluation/zero_shot.h"
#include "train/open_model.h"
#include "train/signals.h"

namespace train {
namespace {

using engine::check;
using engine::Json;

Usage task_usage(const std::string& task) {
  std::vector<Flag> flags = {
      {"model", "DIR", "a run, a model directory or a Hugging Face directory", "", Arity::required},
      {"data", "PATH", "the task's file as its authors publish it, or a folder with it", "", Arity::required},
      {"protocol", "lm-eval|gpt3", "whose prompts, and which metric leads", "lm-eval"},
      {"limit", "N", "the first N documents; 0: all", "0"},
      {"context", "T", "tokens that the model reads at most; 0: the model's context", "0"},
      {"batch", "B", "rows computed together", "8"},
      {"tokenizer", "DIR", "a tokenizer in place of the model's own"},
      {"out", "FILE", "a line of JSON for each document: requests, log-likelihoods, choices"}};
  if (task == "arc") flags.push_back({"variant", "easy|challenge", "which file of a folder"});
  return {"normlab eval " + task,
          task == "lambada" ? "how a passage ends: accuracy and perplexity of its last word"
                            : "accuracy in choosing among continuations, zero-shot",
          {},
          with_compute_flags(flags),
          "Requests, tokens and metrics are those of lm-eval (docs/11-measuring-models.md).\n"};
}

// Says which document an error is about.
template <class F>
auto of_document(const std::string& file, size_t index, const F& f) {
  try {
    return f();
  } catch (const engine::Error& e) {
    engine::fail(file, ": document ", index + 1, ": ", e.what());
  }
}

int64_t context_of(const Arguments& args, const models::ModelConfig& config) {
  const int64_t given = args.integer("context", 0, int64_t(1) << 31);
  check(config.positions != nn::Positions::learned || given <= config.context, "--context ", given,
        " is more than the model's ", config.context, " learned positions");
  check(config.longest_row == 0 || given <= config.longest_row, "--context ", given, " is more than the ",
        config.longest_row, " tokens that the model reads in a row");
  return given > 0 ? given : config.context;
}

TextStart text_start(const OpenModel& open) {
  const data::Tokenizer& tokenizer = text_tokenizer(open);
  TextStart start{.before = begin_of_prompt(tokenizer)};
  std::vector<int32_t> names = begin_of_text(open), ends = ends_of_text(open);
  if (const data::TokenId id = tokenizer.roles().begin; id != data::no_token) names.push_back(int32_t(id));
  names.insert(names.end(), ends.begin(), ends.end());
  if (!names.empty()) start.alone = names.front();
  return start;
}

/// All requests as ids, a family for each document.
struct Requests {
  std::vector<ScoreFamily> choices,
      neutral;  // neutral: the same continuations after the neutral context, if any
};

Requests encode_all(TaskRun& run, const OpenModel& open, const std::string& file) {
  const data::Tokenizer& tokenizer = text_tokenizer(open);
  const TextStart start = text_start(open);
  Requests requests;
  for (size_t i = 0; i < run.items.size(); ++i) {
    engine::check_stop();
    ScoreFamily& family = requests.choices.emplace_back();
    ScoredQuestion& question = run.questions[i];
    question.label = run.items[i].label;
    for (const data::Choice& choice : run.items[i].choices) {
      const ScoreRequest request = of_document(file, i, [&] {
        ScoreRequest r = encode_request(tokenizer, choice, start);
        check(r.scored <= run.context, "a continuation has ", r.scored, " tokens; a context of ", run.context,
              " takes at most as many");
        return r;
      });
      const int64_t tokens = int64_t(request.ids.size());
      run.cut += tokens > run.context + 1;
      question.choices.push_back({.context_tokens = tokens - request.scored,
                                  .tokens = request.scored,
                                  .length = data::choice_length(choice)});
      family.push_back(request);
    }
  }
  if (run.task.neutral.empty()) return requests;
  for (size_t i = 0; i < run.items.size(); ++i) {
    ScoreFamily& family = requests.neutral.emplace_back();
    for (const data::Choice& choice : run.items[i].choices)
      family.push_back(of_document(file, i, [&] {
        return encode_request(tokenizer, {run.task.neutral, choice.continuation}, start);
      }));
  }
  return requests;
}

constexpr int64_t kPartBatches = 32;

double work_of(const ScoreFamily& family) {
  double tokens = 0;
  for (const ScoreRequest& r : family) tokens += double(r.scored);
  return tokens + double(family[0].ids.size()) - double(family[0].scored);
}

// False: stopped by a signal; what was scored is kept, the rest has no choices. Where there are neutral
// requests it goes by parts of the documents, the longest first, so that documents are finished all the way.
bool score_all(TaskRun& run, const OpenModel& open, const Requests& requests, int64_t batch) {
  const size_t documents = run.items.size();
  const bool neutral = !requests.neutral.empty();
  double all = 0, done = 0;
  for (const auto* families : {&requests.neutral, &requests.choices})
    for (const ScoreFamily& family : *families) all += work_of(family);
  CountProgress progress(run.task.name, "documents", int64_t(documents));
  int64_t finished = 0;
  const auto scores_of = [&](const std::vector<ScoreFamily>& families, bool last) {
    return log_likelihoods(*open.model, families,
                           {.context = run.context,
                            .vocabulary = open.vocabulary,
                            .batch = batch,
                            .on_scored = [&](const std::vector<size_t>& indices) {
                              for (const size_t i : indices) done += work_of(families[i]);
                              if (last) finished += int64_t(indices.size());
                              progress.update(finished, done / all);
                              return !engine::stop_requested();
                            }});
  };
  const auto keep = [&](ScoredQuestion& question, const std::vector<LogLikelihood>& own,
                        const std::vector<LogLikelihood>* without) {
    if (own.empty()) return question.choices.clear();
    for (size_t c = 0; c < own.size(); ++c) {
      question.choices[c].score = own[c];
      if (without) question.choices[c].neutral = (*without)[c].sum;
    }
  };
  std::vector<size_t> order(documents);
  std::iota(order.begin(), order.end(), size_t(0));
  const auto length = [&](size_t i) { return requests.choices[i][0].ids.size(); };
  if (neutral)
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return length(a) > length(b); });
  const size_t part = neutral ? size_t(kPartBatches * batch) : std::max<size_t>(documents, 1);
  for (size_t begin = 0; begin < documents; begin += part) {
    const auto which = std::span(order).subspan(begin, std::min(part, documents - begin));
    std::vector<ScoreFamily> own, other;
    for (const size_t i : which) own.push_back(requests.choices[i]);
    for (const size_t i : which)
      if (neutral) other.push_back(requests.neutral[i]);
    std::vector<std::vector<LogLikelihood>> scores(which.size()), without = scores;
    if (neutral && !engine::stop_requested()) without = scores_of(other, false);
    if (!engine::stop_requested()) scores = scores_of(own, true);
    for (size_t k = 0; k < which.size(); ++k)
      keep(run.questions[which[k]], scores[k], neutral ? &without[k] : nullptr);
  }
  return !engine::stop_requested();
}

}  // namespace

int eval_task(int argc, char** argv) {
  const std::string name = argv[0];
  const Arguments args(task_usage(name), argc, argv);
  const double started = engine::now();
  apply_threads(args);
  const nn::Precision precision = precision_of(args);
  TaskRun run;
  run.protocol = args.text("protocol") == "gpt3" ? data::Protocol::gpt3 : data::Protocol::lm_eval;
  run.task = ZeroShotTask::of(name, run.protocol);
  const std::string file =
      data::task_file(name, args.text("data"), name == "arc" ? args.text("variant") : std::string());
  run.items =
      read_questions(run.task, file, {.protocol = run.protocol}, args.integer("limit", 0, int64_t(1) << 40));
  run.questions.resize(run.items.size());
  if (name == "hellaswag")
    run.form = data::read_records(file)[0].find({"query"}) ? "cleaned file" : "raw file, cleaned here";
  const std::string out = output_file(args, "out", {file, data::labels_file(file)});
  const SignalGuard signals;
  std::optional<engine::AtomicFile> lines;  // opened first: a path that cannot be written shows at once
  if (!out.empty()) lines.emplace(out);
  const bool answered =
      std::any_of(run.items.begin(), run.items.end(), [](const auto& item) { return item.label >= 0; });
  check(answered || !out.empty(), file,
        ": no document has an answer; --out FILE keeps what the model chooses");

  const OpenModel open =
      open_model(args.text("model"), precision, args.text("tokenizer"));
  const models::ModelConfig& config = open.model->config();
  check(config.causal(), open.folder, ": the model is no causal one (its objective is ",
        models::objective_names[size_t(config.objective)], "); zero-shot tasks need one that continues text");
  run.context = context_of(args, config);
  const int64_t batch = args.integer("batch", 1, 1 << 16);
  bool finished = false;
  try {
    finished = score_all(run, open, encode_all(run, open, file), batch);
  } catch (const engine::Stopped&) {  // before anything was scored
    for (ScoredQuestion& question : run.questions) question.choices.clear();
  }
  std::exception_ptr unwritten;  // told behind the result, which it must not cost
  try {
    if (lines) lines->write(document_lines(run)), lines->commit();
  } catch (const engine::Error&) {
    unwritten = std::current_exception();
  }
  const auto end = [&](int code) {
    if (unwritten) std::rethrow_exception(unwritten);
    return code;
  };
  if (!finished) {
    if (!unwritten)
      engine::log_info("stopped; ", out.empty() ? "--out FILE would have kept" : out + " has",
                       " the documents that were scored");
    return end(130);
  }
  const Json result = task_result(run);
  if (args.on("json")) {
    Json json = result_of("eval " + name);
    json["model"] = open.folder;
    json["data"] = file;
    json["precision"] = args.text("precision");
    json["seconds"] = engine::now() - started;
    json["results"] = Json::array({result});
    std::printf("%s\n", engine::json_text(json, 1).c_str());
  } else {
    print_task_table(result);
  }
  std::fflush(stdout);  // before an error's line
  return end(0);
}

}  // namespace train
