// Read first: glue_score.h.
#include "train/finetune/glue_score.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "engine/base/stop.h"
#include "train/evaluation/class_metrics.h"
#include "train/evaluation/json_numbers.h"

namespace train {

using engine::Json;

namespace {

constexpr int64_t kRowsTogether = 32;

std::vector<double> scores_of(const GlueRows& rows) {
  std::vector<double> out;
  for (const GlueRow& row : rows.rows) out.push_back(row.label);
  return out;
}

double mean_loss(const GlueRows& rows, const GlueOutputs& outputs, bool regression) {
  double sum = 0;
  for (int64_t i = 0; i < outputs.rows(); ++i) {
    const double* z = outputs.logits.data() + i * outputs.classes;
    const double label = rows.rows[size_t(i)].label;
    if (regression) {
      sum += (z[0] - label) * (z[0] - label);
      continue;
    }
    const double most = *std::max_element(z, z + outputs.classes);
    double all = 0;
    for (int64_t c = 0; c < outputs.classes; ++c) all += std::exp(z[c] - most);
    sum += most + std::log(all) - z[size_t(label)];
  }
  return sum / double(outputs.rows());
}

}  // namespace

std::vector<int> GlueOutputs::predictions() const {
  std::vector<int> out;
  for (int64_t i = 0; i < rows(); ++i) {
    const double* z = logits.data() + i * classes;
    const bool numbers = std::none_of(z, z + classes, [](double x) { return std::isnan(x); });
    out.push_back(numbers ? int(std::max_element(z, z + classes) - z) : -1);
  }
  return out;
}

GlueOutputs glue_outputs(const models::Transformer& model, const GlueData& data, const GlueRows& rows) {
  const engine::TapeScope off(nullptr);
  const int64_t n = int64_t(rows.rows.size());
  GlueOutputs out{.classes = model.config().classes};
  out.logits.resize(size_t(n * out.classes));
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t(0));
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return rows.rows[size_t(a)].text.ids.size() < rows.rows[size_t(b)].text.ids.size();
  });
  for (int64_t begin = 0; begin < n; begin += kRowsTogether) {
    engine::check_stop();
    const std::span<const int64_t> which(order.data() + begin, size_t(std::min(kRowsTogether, n - begin)));
    const MicroBatch batch = glue_batch(model.config(), data, rows, which);
    const nn::Context context = model.context();
    const std::vector<double> logits =
        model.logits(model.hidden(batch.tokens, context, context.precision.stream)).to_vector();
    for (size_t r = 0; r < which.size(); ++r)
      std::copy_n(logits.begin() + ptrdiff_t(r) * out.classes, out.classes,
                  out.logits.begin() + which[r] * out.classes);
  }
  return out;
}

Json glue_metrics(const data::GlueTask& task, const GlueData& data, const GlueRows& rows,
                  const GlueOutputs& outputs) {
  Json out = {{"rows", outputs.rows()},
              {"loss", number_or_null(mean_loss(rows, outputs, data.regression))}};
  if (data.regression) {
    const std::vector<double> scores = scores_of(rows);
    const std::optional<double> p = pearson(scores, outputs.logits),
                                s = spearman(scores, outputs.logits);
    out["pearson"] = number_or_null(p);
    out["spearman"] = number_or_null(s);
    out["pearson_spearman"] = p && s ? number_or_null((*p + *s) / 2) : Json();
    return out;
  }
  const std::vector<int> predictions = outputs.predictions();
  std::vector<int> labels;
  for (const GlueRow& row : rows.rows) labels.push_back(int(row.label));
  const bool numbers = std::find(predictions.begin(), predictions.end(), -1) == predictions.end();
  const auto metric = [&](double value) { return numbers ? Json(value) : Json(); };
  out["accuracy"] = metric(accuracy(labels, predictions));
  if (task.metric == data::GlueMetric::matthews) out["matthews"] = metric(matthews(labels, predictions));
  if (task.metric == data::GlueMetric::accuracy_and_f1) {
    out["f1"] = metric(f1(labels, predictions));
    out["accuracy_f1"] = metric((accuracy(labels, predictions) + f1(labels, predictions)) / 2);
  }
  return out;
}

std::string submission(const data::GlueTask& task, const GlueData& data, const GlueRows& rows,
                       const GlueOutputs& outputs) {
  std::string out = "index\tprediction\n";
  const std::vector<int> predictions = outputs.predictions();
  for (int64_t i = 0; i < outputs.rows(); ++i) {
    std::string answer;
    if (data.regression) {
      char text[32];
      const double score = outputs.logits[size_t(i)] * data.label_scale;
      std::snprintf(text, sizeof text, "%.3f", std::isnan(score) ? 0 : std::clamp(score, 0.0, 5.0));
      answer = text;
    } else {
      answer = task.classes[size_t(std::max(predictions[size_t(i)], 0))];
    }
    out += rows.rows[size_t(i)].index + "\t" + answer + "\n";
  }
  return out;
}

bool beats(const Json& a, const Json& b) {
  if (!a.is_number()) return false;
  return !b.is_number() || a.get<double>() > b.get<double>();
}

}  // namespace train
