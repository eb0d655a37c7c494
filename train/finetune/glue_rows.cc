// Read first: glue_rows.h.
#include "train/finetune/glue_rows.h"

#include <algorithm>

#include "data/shuffle.h"
#include "data/text_case.h"
#include "engine/base/check.h"
#include "engine/base/log.h"

namespace train {

using engine::check;
using engine::Tensor;

int64_t GlueRows::tokens() const {
  int64_t sum = 0;
  for (const GlueRow& row : rows) sum += int64_t(row.text.ids.size());
  return sum;
}

int64_t GlueRows::longest() const {
  size_t most = 0;
  for (const GlueRow& row : rows) most = std::max(most, row.text.ids.size());
  return int64_t(most);
}

RowRules row_rules(const FineTuneRequest& request, const models::ModelConfig& model,
                   const data::PairForm& form) {
  const bool fairseq = request.recipe == Recipe::fairseq;
  RowRules rules{.strip = fairseq,
                 .special = fairseq ? data::SpecialText::ordinary : data::SpecialText::recognised,
                 .most = request.max_length,
                 .positions = model.positions == nn::Positions::learned ? model.context : 0};
  if (model.longest_row > 0) rules.positions = model.longest_row;
  if (rules.most == 0) return rules;
  check(!request.max_length_given || rules.positions == 0 || rules.most <= rules.positions, "--max-length ",
        rules.most, " is more than the model's ", rules.positions, " positions");
  if (rules.positions > 0) rules.most = std::min(rules.most, rules.positions);
  const int64_t least = form.special(true) + 2;
  check(rules.most >= least, request.max_length_given ? "--max-length " : "the model's context ", rules.most,
        " has no room for two texts: at least ", least, " tokens");
  return rules;
}

GlueRows encode_glue(const std::string& task, const std::string& file, const data::Tokenizer& tokenizer,
                     const data::PairForm& form, const RowRules& rules, double label_scale, bool labelled) {
  GlueRows out{file, {}};
  const auto encode = [&](const std::string& text) {
    return tokenizer.encode(rules.strip ? std::string(data::strip(text)) : text, rules.special);
  };
  const std::vector<data::GlueItem> items =
      data::read_glue(task, file, labelled ? data::GlueLabels::wanted : data::GlueLabels::ignored);
  const data::GlueTask& known = data::glue_task(task);
  for (size_t i = 0; i < items.size(); ++i) {
    const data::GlueItem& item = items[i];
    check(!labelled || item.label >= 0, item.where, ": the row has no label");
    const bool pair = !known.one_text;
    std::vector<data::TokenId> second;
    if (pair) second = encode(item.second);
    GlueRow row{data::text_row(form, encode(item.first), pair ? &second : nullptr, rules.most),
                known.classes.empty() && item.label >= 0 ? item.label / label_scale : item.label,
                item.index.empty() ? std::to_string(i) : item.index};
    check(rules.positions == 0 || int64_t(row.text.ids.size()) <= rules.positions, item.where,
          ": the row has ", row.text.ids.size(), " tokens, the model ", rules.positions,
          " positions; --max-length cuts longer rows");
    out.rows.push_back(std::move(row));
  }
  return out;
}

GlueData read_glue_data(const FineTuneRequest& request, const data::Tokenizer& tokenizer,
                        const std::string& tokenizer_name, const models::ModelConfig& model) {
  const std::string& task = request.task.name;
  GlueData data{.form = data::pair_form(tokenizer, tokenizer_name), .types = model.token_types > 1};
  data.regression = request.task.classes.empty();
  data.label_scale = data.regression && request.recipe == Recipe::fairseq ? 5 : 1;
  const RowRules rules = row_rules(request, model, data.form);
  const auto read = [&](const char* split, bool needed) -> GlueRows {
    const std::string file = data::glue_file(task, request.data, split);
    check(!file.empty() || !needed, request.data, ": no ", split, " file of ", task, " there (", split,
          ".tsv or .jsonl, in the folder or in one named after the task)");
    if (file.empty()) return {};
    return encode_glue(task, file, tokenizer, data.form, rules, data.label_scale, /*labelled=*/true);
  };
  data.train = read("train", true);
  data.dev = read("dev", true);
  if (task == "mnli") data.dev_mm = read("dev_mm", request.select == "accuracy_mm");
  if (const double batches = double(request.config.eval.batches); batches > 0)
    for (GlueRows* set : {&data.dev, &data.dev_mm})
      if (const double most = batches * double(request.config.data.batch); most < double(set->rows.size()))
        set->rows.resize(size_t(most));
  const auto& scores = data.dev.rows;
  if (data.regression && std::none_of(scores.begin(), scores.end(),
                                      [&](const GlueRow& row) { return row.label != scores[0].label; }))
    engine::log_warning(data.dev.file, ": all scores are equal, so there is no correlation to choose by");
  return data;
}

MicroBatch glue_batch(const models::ModelConfig& model, const GlueData& data, const GlueRows& rows,
                      std::span<const int64_t> which) {
  const int64_t n = int64_t(which.size());
  size_t longest = 0;
  for (const int64_t i : which) longest = std::max(longest, rows.rows[size_t(i)].text.ids.size());
  const size_t size = which.size() * longest;
  std::vector<int32_t> ids(size, int32_t(data.form.pad)), types(size, 0), classes;
  std::vector<double> mask(size, 0), scores;
  for (size_t r = 0; r < which.size(); ++r) {
    const GlueRow& row = rows.rows[size_t(which[r])];
    const size_t begin = r * longest, length = row.text.ids.size();
    std::copy(row.text.ids.begin(), row.text.ids.end(), ids.begin() + ptrdiff_t(begin));
    std::fill_n(mask.begin() + ptrdiff_t(begin), length, 1);
    if (row.text.second > 0)
      for (size_t t = size_t(row.text.second); t < length; ++t) types[begin + t] = 1;
    classes.push_back(row.label < 0 ? engine::kNotScored : int32_t(row.label));  // of a test set: unknown
    scores.push_back(row.label);
  }
  const engine::Shape shape = {n, int64_t(longest)};
  models::Tokens tokens{.ids = Tensor::from_ids(ids, shape)};
  if (std::find(mask.begin(), mask.end(), 0.0) != mask.end())
    tokens.key_mask = Tensor::from(mask, shape, engine::DType::u8);
  if (data.types) tokens.types = Tensor::from_ids(types, shape);
  const Tensor labels =
      data.regression ? Tensor::from(scores, {n}, engine::DType::f64) : Tensor::from_ids(classes, {n});
  return {models::input_rows(model, tokens), models::targets(model, labels), n};
}

int64_t row_of(const TrainConfig& config, int64_t epoch, int64_t rows, int64_t index) {
  if (config.data.order == RowOrder::file) return index;
  return data::shuffled_index(uint64_t(config.seed), epoch, rows, index);
}

}  // namespace train
