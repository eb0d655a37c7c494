// Evaluation tasks in their original file formats, and in Hugging Face's copies of them: multiple choice and
// LAMBADA here, GLUE in tasks_glue.h.
//
// A multiple-choice item is a context and its continuations: what follows the context is scored. WinoGrande
// is different: each option stands in the context, and the same rest of the sentence is scored (Trinh and Le,
// "A Simple Method for Commonsense Reasoning", 2018: partial scoring). So an item holds one context a choice.
// The texts are, byte for byte, the requests of EleutherAI's lm-evaluation-harness 0.4.
// Read next: task_readers.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace data {

/// Whose prompts: the harness's, or those of appendix G of "Language Models are Few-Shot Learners" (2020).
enum class Protocol { lm_eval, gpt3 };

struct Choice {
  std::string context, continuation;  // joined as they are: the space between them begins the continuation
};
/// What acc_norm divides by: the continuation's code points without the joining space.
int64_t choice_length(const Choice& choice);

struct ChoiceItem {
  std::string id;  // the file's own name for it, else its index
  std::vector<Choice> choices;
  int label = -1;  // -1: the file has no answer (a test set)
};

struct ChoiceTask {
  std::string name;
  bool normalised;        // the harness prints acc_norm beside acc
  std::string gpt3_rule;  // "acc", "acc_token" or "acc_pmi": how GPT-3 chooses
  std::string neutral;    // the context of acc_pmi; "": the task has no such metric
};

const std::vector<ChoiceTask>& choice_tasks();
/// Fails on an unknown name, with the nearest one.
const ChoiceTask& choice_task(const std::string& name);

struct TaskOptions {
  Protocol protocol = Protocol::lm_eval;
  std::string variant;  // of arc in a folder: "easy" or "challenge"
};

/// The file of `path`, which is that file itself, or a folder that holds it under a usual name: of the split
/// that the harness scores (the test set of openbookqa, arc, sciq, storycloze and lambada, else the
/// validation set).
std::string task_file(const std::string& task, const std::string& path, const std::string& variant = "");

/// Where the labels of PIQA's items in `path` stand, if they have a file of their own.
std::string labels_file(const std::string& path);

std::vector<ChoiceItem> read_choice_task(const std::string& task, const std::string& path,
                                         const TaskOptions& options = {});

struct LambadaItem {
  std::string context, target;  // target: a space and what follows the last one
};
/// JSON Lines, or text with one passage a line (*.txt).
std::vector<LambadaItem> read_lambada(const std::string& path);

}  // namespace data
