// A GLUE task's rows as a model takes them: read, encoded, checked against its positions; and batches of them.
// Read first: recipe.h, data/text_pairs.h, update.h.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "data/text_pairs.h"
#include "train/finetune/recipe.h"
#include "train/update.h"

namespace train {

struct GlueRow {
  data::TextRow text;
  double label = -1;  // the class, or the score as the model is trained on it
  std::string index = {};  // what a submission calls the row
};

struct GlueRows {
  std::string file;  // "": the task has no such file here
  std::vector<GlueRow> rows;
  int64_t tokens() const;
  int64_t longest() const;
};

struct GlueData {
  data::PairForm form;
  bool types = false;      // the model tells the two texts apart by token types
  bool regression = false;
  double label_scale = 1;  // scores of a regression are divided by it
  GlueRows train, dev, dev_mm;
};

/// How texts become rows under a recipe, for a model of so many positions.
struct RowRules {
  bool strip = false;
  data::SpecialText special = data::SpecialText::ordinary;
  int64_t most = 0;       // longer rows are cut to it; 0: none is
  int64_t positions = 0;  // longer rows are refused
};
/// Error: --max-length is more than the model's positions, or leaves no room.
RowRules row_rules(const FineTuneRequest& request, const models::ModelConfig& model, const data::PairForm& form);

/// Error: a row that is too long, by its number. `labelled`: each row must have a label.
GlueRows encode_glue(const std::string& task, const std::string& file, const data::Tokenizer& tokenizer,
                     const data::PairForm& form, const RowRules& rules, double label_scale, bool labelled);

/// Training and development rows, of those the first eval.batches batches. Error: a file is missing, or the
/// tokenizer lacks a special token.
GlueData read_glue_data(const FineTuneRequest& request, const data::Tokenizer& tokenizer,
                        const std::string& tokenizer_name, const models::ModelConfig& model);

/// The rows `which` of `rows`, padded on the right to the longest of them.
MicroBatch glue_batch(const models::ModelConfig& model, const GlueData& data, const GlueRows& rows,
                      std::span<const int64_t> which);

/// What row number `index` of an epoch is: of a permutation by (seed, epoch), or index itself.
int64_t row_of(const TrainConfig& config, int64_t epoch, int64_t rows, int64_t index);

}  // namespace train
