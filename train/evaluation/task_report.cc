// Read first: task_report.h.
#include "train/evaluation/task_report.h"

#include <cstdio>

#include "train/evaluation/json_numbers.h"

namespace train {

using engine::Json;

namespace {

// A guess among the choices of each answered document, on average.
Json chance(const TaskRun& run) {
  double sum = 0, n = 0;
  for (const data::ChoiceItem& item : run.items)
    if (item.label >= 0) sum += 1 / double(item.choices.size()), ++n;
  return run.task.passages || n == 0 ? Json() : Json(sum / n);
}

}  // namespace

Json task_result(const TaskRun& run) {
  int64_t answered = 0;
  for (const data::ChoiceItem& item : run.items) answered += item.label >= 0;
  Json out = {{"name", run.task.name},
              {"protocol", run.protocol == data::Protocol::gpt3 ? "gpt3" : "lm-eval"},
              {"documents", run.items.size()},
              {"answered", answered},
              {"context", run.context},
              {"cut", run.cut},
              {"headline", run.task.headline},
              {"chance", chance(run)},
              {"metrics", zero_shot_metrics(run.task, run.questions)}};
  if (!run.form.empty()) out["form"] = run.form;
  return out;
}

void print_task_table(const Json& result) {
  const auto text = [&](const char* key) { return result[key].get<std::string>(); };
  std::printf("%-12s %s, %lld documents%s, context %lld\n", text("name").c_str(), text("protocol").c_str(),
              (long long)result["documents"].get<int64_t>(),
              result.contains("form") ? (" (" + text("form") + ")").c_str() : "",
              (long long)result["context"].get<int64_t>());
  if (result["answered"] != result["documents"])
    std::printf("%-12s %lld documents: the others have no answer and do not count\n", "answered",
                (long long)result["answered"].get<int64_t>());
  if (const int64_t cut = result["cut"].get<int64_t>(); cut > 0)
    std::printf("%-12s %lld requests were longer than the context and lost their beginning\n", "cut",
                (long long)cut);
  for (const auto& [name, value] : result["metrics"].items()) {
    if (name.ends_with("_stderr")) continue;
    const Json& error = result["metrics"][name + "_stderr"];
    const bool fraction = name.starts_with("acc");
    const auto number = [&](const Json& x) {
      char buffer[32];
      if (x.is_null()) return std::string("-");
      std::snprintf(buffer, sizeof buffer, fraction ? "%.4f" : "%.6g", x.get<double>());
      return std::string(buffer);
    };
    std::printf("%-12s %s ± %s\n", name.c_str(), number(value).c_str(), number(error).c_str());
  }
  if (!result["chance"].is_null()) std::printf("%-12s %.4f\n", "chance", result["chance"].get<double>());
}

std::string document_lines(const TaskRun& run) {
  std::string out;
  for (size_t i = 0; i < run.items.size(); ++i) {
    const data::ChoiceItem& item = run.items[i];
    const ScoredQuestion& question = run.questions[i];
    if (question.choices.empty()) continue;
    Json line = {{"id", item.id}};
    for (const char* list : {"requests", "tokens", "ll", "greedy"}) line[list] = Json::array();
    for (size_t c = 0; c < item.choices.size(); ++c) {
      const ScoredChoice& choice = question.choices[c];
      line["requests"].push_back({item.choices[c].context, item.choices[c].continuation});
      line["tokens"].push_back({choice.context_tokens, choice.tokens});
      line["ll"].push_back(number_or_null(choice.score.sum));
      line["greedy"].push_back(choice.score.greedy);
    }
    line["gold"] = run.task.passages || item.label < 0 ? Json() : Json(item.label);
    line["pred"] = Json::object();
    for (const auto& [metric, choice] : predictions(run.task, question))
      line["pred"][metric] = choice < 0 ? Json() : Json(choice);
    out += engine::json_text(line) + "\n";
  }
  return out;
}

}  // namespace train
