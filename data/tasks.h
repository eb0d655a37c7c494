// Evaluation tasks in their original file formats. Multiple choice (HellaSwag, PIQA, WinoGrande, OpenBookQA,
// ARC, StoryCloze) and LAMBADA here; GLUE in tasks_glue.h.
//
// A multiple-choice item is a context and its continuations: what follows the context is scored. WinoGrande
// is different: each option stands in the context, and the same rest of the sentence is scored (Trinh and Le,
// "A Simple Method for Commonsense Reasoning", 2018: partial scoring). So an item holds one context a choice.
#pragma once

#include <string>
#include <vector>

namespace data {

struct Choice {
  std::string context, continuation;  // joined as they are: the space between them begins the continuation
};

struct ChoiceItem {
  std::string id;
  std::vector<Choice> choices;
  int label = -1;  // -1: the file has no answers (a test set)
};

/// "hellaswag", "piqa", "winogrande", "openbookqa", "arc", "storycloze".
std::vector<std::string> choice_task_names();

/// Reads `path`: the task's file, or a folder that holds it under its usual name (the validation set is
/// preferred).
std::vector<ChoiceItem> read_choice_task(const std::string& task, const std::string& path);

/// What precedes the text when continuations are scored without their context (accuracy normalised by PMI).
std::string neutral_context(const std::string& task);

struct LambadaItem {
  std::string context, target;  // target: a space and the last word
};
std::vector<LambadaItem> read_lambada(const std::string& path);

/// Fields of one line of a CSV file with quotes (RFC 4180). A quoted field may hold line ends, so `text` is
/// the whole file and `at` moves behind the record; false at the end.
bool read_csv_record(const std::string& text, size_t& at, std::vector<std::string>& fields,
                     const std::string& what);

}  // namespace data
