// What a classifier makes of rows, and GLUE's metrics of that. Read first: glue_rows.h,
// evaluation/class_metrics.h.
#pragma once

#include <vector>

#include "train/finetune/glue_rows.h"

namespace train {

/// Logits of all rows [rows, classes], in the order of the file.
struct GlueOutputs {
  int64_t classes = 1;
  std::vector<double> logits;

  int64_t rows() const { return int64_t(logits.size()) / classes; }
  /// The largest logit's class, the lowest one on a tie; -1 where a logit is no number.
  std::vector<int> predictions() const;
};

/// Rows of like length are computed together; dropout is off. Stopped (engine/base/stop.h) where that is asked
/// for meanwhile.
GlueOutputs glue_outputs(const models::Transformer& model, const GlueData& data, const GlueRows& rows);

/// Loss as it is trained, and every metric of metrics_of(task) but accuracy_mm; null where it is not defined.
engine::Json glue_metrics(const data::GlueTask& task, const GlueData& data, const GlueRows& rows,
                          const GlueOutputs& outputs);

/// GLUE's submission file: index and prediction, a class by its name, a score in [0, 5].
std::string submission(const data::GlueTask& task, const GlueData& data, const GlueRows& rows,
                       const GlueOutputs& outputs);

/// Whether metric value `a` beats `b`: null never does.
bool beats(const engine::Json& a, const engine::Json& b);

}  // namespace train
