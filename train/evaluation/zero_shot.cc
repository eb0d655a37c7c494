// Read first: zero_shot.h.
#include "train/evaluation/zero_shot.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "data/text_case.h"
#include "train/evaluation/json_numbers.h"
#include "train/evaluation/statistics.h"

namespace train {

using engine::check;
using engine::Json;

ZeroShotTask ZeroShotTask::of(const std::string& name, data::Protocol protocol) {
  if (name == "lambada") return {.name = name, .passages = true, .headline = "acc"};
  const data::ChoiceTask& task = data::choice_task(name);
  return {.name = name,
          .normalised = name != "winogrande",  // its choices end alike
          .neutral = task.neutral,
          .headline = protocol == data::Protocol::gpt3 ? task.gpt3_rule
                      : task.normalised                ? "acc_norm"
                                                       : "acc"};
}

std::vector<data::ChoiceItem> read_questions(const ZeroShotTask& task, const std::string& path,
                                             const data::TaskOptions& options, int64_t limit) {
  std::vector<data::ChoiceItem> out;
  if (task.passages) {
    for (const data::LambadaItem& item : data::read_lambada(path))
      out.push_back({std::to_string(out.size()), {{item.context, item.target}}, 0});
  } else {
    out = data::read_choice_task(task.name, path, options);
  }
  if (limit > 0 && out.size() > size_t(limit)) out.resize(size_t(limit));
  return out;
}

ScoreRequest encode_request(const data::Tokenizer& tokenizer, const data::Choice& request,
                            const TextStart& start) {
  const std::string context(data::strip_right(request.context));
  const std::string continuation = request.context.substr(context.size()) + request.continuation;
  // Special tokens in the text count, as they do for Hugging Face's tokenizers.
  const auto encode = [&](const std::string& text, const std::vector<int32_t>& before) {
    std::vector<int32_t> ids = before;
    for (const data::TokenId id : tokenizer.encode(text, data::SpecialText::recognised))
      ids.push_back(int32_t(id));
    return ids;
  };
  ScoreRequest out;
  size_t own = 0;  // ids of the context
  if (context.empty()) {
    check(start.alone >= 0, "the context is empty, and the tokenizer has no token that begins a text");
    out.ids = encode(continuation, {});
    if (out.ids.empty() || out.ids[0] != start.alone) out.ids.insert(out.ids.begin(), start.alone);
    own = 1;
  } else {
    out.ids = encode(context + continuation, start.before);
    const std::vector<int32_t> alone = encode(context, start.before);
    own = alone.size();
    // Where the continuation begins is decided by the number of the context's own ids; the model reads those.
    std::copy_n(alone.begin(), std::min(own, out.ids.size()), out.ids.begin());
  }
  check(out.ids.size() > own, "the continuation ",
        engine::json_text(Json(request.continuation.substr(0, 40))), " has no tokens of its own");
  check(own > 0, "the context has no tokens");
  out.scored = int64_t(out.ids.size() - own);
  return out;
}

namespace {

struct Metric {
  std::string name;
  std::function<double(const ScoredChoice&)> value;
};

std::vector<Metric> metrics_of(const ZeroShotTask& task) {
  std::vector<Metric> out = {{"acc", [](const ScoredChoice& c) { return c.score.sum; }}};
  if (task.passages) return out;
  if (task.normalised)
    out.push_back({"acc_norm", [](const ScoredChoice& c) {
                     if (c.length > 0 || std::isnan(c.score.sum)) return c.score.sum / double(c.length);
                     return -std::numeric_limits<double>::infinity();
                   }});
  out.push_back({"acc_token", [](const ScoredChoice& c) { return c.score.sum / double(c.tokens); }});
  if (!task.neutral.empty())
    out.push_back({"acc_pmi", [](const ScoredChoice& c) { return c.score.sum - c.neutral; }});
  std::stable_sort(out.begin(), out.end(), [&](const Metric& a, const Metric& b) {
    return (a.name == task.headline) > (b.name == task.headline);
  });
  return out;
}

// The first of the largest values; a NaN loses. -1: all are NaN.
int best_choice(const ScoredQuestion& question, const Metric& metric) {
  int best = -1;
  double most = 0;
  for (size_t i = 0; i < question.choices.size(); ++i) {
    const double value = metric.value(question.choices[i]);
    if (std::isnan(value) || (best >= 0 && !(value > most))) continue;
    best = int(i), most = value;
  }
  return best;
}

void add_mean(Json& out, const std::string& name, const std::vector<double>& values) {
  const Mean mean = mean_of(values);
  out[name] = number_or_null(mean.mean);
  out[name + "_stderr"] = number_or_null(mean.se);
}

}  // namespace

std::vector<std::pair<std::string, int>> predictions(const ZeroShotTask& task,
                                                     const ScoredQuestion& question) {
  std::vector<std::pair<std::string, int>> out;
  if (task.passages) return out;
  for (const Metric& metric : metrics_of(task)) out.emplace_back(metric.name, best_choice(question, metric));
  return out;
}

Json zero_shot_metrics(const ZeroShotTask& task, const std::vector<ScoredQuestion>& questions) {
  std::vector<const ScoredQuestion*> answered;
  for (const ScoredQuestion& q : questions)
    if (!q.choices.empty() && q.label >= 0) answered.push_back(&q);
  Json out = Json::object();
  if (answered.empty()) return out;
  std::vector<double> values(answered.size());
  if (task.passages) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = answered[i]->choices[0].score.greedy;
    add_mean(out, "acc", values);
    for (size_t i = 0; i < values.size(); ++i) values[i] = -answered[i]->choices[0].score.sum;
    const Mean loss = mean_of(values);
    out["perplexity"] = number_or_null(std::exp(loss.mean));
    out["perplexity_stderr"] = loss.se ? number_or_null(std::exp(loss.mean) * *loss.se) : Json();
    return out;
  }
  for (const Metric& metric : metrics_of(task)) {
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = best_choice(*answered[i], metric) == answered[i]->label;
    add_mean(out, metric.name, values);
  }
  return out;
}

}  // namespace train
