// What `normlab eval TASK` says: its JSON object, its table, and a line for each document.
#pragma once

#include <string>

#include "train/evaluation/zero_shot.h"

namespace train {

/// One evaluation of a task.
struct TaskRun {
  ZeroShotTask task;
  data::Protocol protocol = data::Protocol::lm_eval;
  std::string form;  // of the file, where a task has several; else empty
  int64_t context = 0;
  int64_t cut = 0;  // requests shortened on the left
  std::vector<data::ChoiceItem> items;
  std::vector<ScoredQuestion> questions;
};

/// One entry of "results".
engine::Json task_result(const TaskRun& run);
void print_task_table(const engine::Json& result);
/// A JSON line for each scored document, in the order of the file.
std::string document_lines(const TaskRun& run);

}  // namespace train
