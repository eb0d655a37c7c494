// Zero-shot tasks: a causal model chooses among continuations of a context, or guesses how a passage ends,
// and is told nothing of the task. What is scored and how is the table of docs/11-measuring-models.md:
// requests, tokens and metrics are those of EleutherAI's lm-evaluation-harness 0.4, or GPT-3's (Brown et al.,
// "Language Models are Few-Shot Learners", 2020). Read first: log_likelihood.h, data/tasks.h. Then:
// commands/eval_task.cc.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/tasks.h"
#include "data/tokenizer.h"
#include "engine/base/json.h"
#include "train/evaluation/log_likelihood.h"

namespace train {

/// Which numbers a task has beside acc.
struct ZeroShotTask {
  std::string name;
  bool passages = false;    // lambada: acc is that every token is guessed; perplexity
  bool normalised = false;  // acc_norm: the choices are texts of their own
  std::string neutral;      // acc_pmi: the context that choices are also scored behind
  std::string headline;     // the metric that is printed first

  /// Of "lambada" and of every data::choice_tasks().
  static ZeroShotTask of(const std::string& name, data::Protocol protocol);
};

/// The documents of the task's file or folder, the first `limit` (0: all). A passage has one choice.
std::vector<data::ChoiceItem> read_questions(const ZeroShotTask& task, const std::string& path,
                                             const data::TaskOptions& options, int64_t limit);

/// What a tokenizer puts before a text.
struct TextStart {
  std::vector<int32_t> before;  // the tokens of its post-processor, mostly none
  int32_t alone = -1;           // stands for an empty context; -1: there is no such token
};

/// Token ids of a request. White space that ends the context is moved to the continuation; the continuation's
/// ids are those that the joined text has behind the context's own. Errors: a continuation without tokens; an
/// empty context where no token stands for it.
ScoreRequest encode_request(const data::Tokenizer& tokenizer, const data::Choice& request,
                            const TextStart& start);

/// A choice with its score.
struct ScoredChoice {
  LogLikelihood score;
  int64_t context_tokens = 0, tokens = 0, length = 0;  // length: code points, without the joining space
  double neutral = 0;                                  // log-likelihood behind the task's neutral context
};

struct ScoredQuestion {
  std::vector<ScoredChoice> choices;  // empty: not scored, because the evaluation was stopped
  int label = -1;                     // -1: the file has no answer
};

/// The choice that each of the task's metrics picks, in the order of printing; -1: none has a number.
std::vector<std::pair<std::string, int>> predictions(const ZeroShotTask& task,
                                                     const ScoredQuestion& question);

/// {"acc": …, "acc_stderr": …, …} over the questions that are scored and have an answer, the headline first.
engine::Json zero_shot_metrics(const ZeroShotTask& task, const std::vector<ScoredQuestion>& questions);

}  // namespace train
