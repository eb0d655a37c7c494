// normlab eval: what a model scores. `eval ppl` is perplexity on shards or on a text; eval_task.cc has
// the zero-shot tasks. Read first: evaluation/perplexity_report.h.
#include <cstdio>

#include "data/tasks.h"
#include "engine/base/clock.h"
#include "engine/base/json.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/commands/compute_flags.h"
#include "train/evaluation/perplexity_report.h"
#include "train/open_model.h"

namespace train {
namespace {

using engine::Json;

const Usage ppl_usage = {
    "normlab eval ppl",
    "perplexity a token, a word and a byte",
    {},
    with_compute_flags(
        {{"model", "DIR", "a run, a model directory or a Hugging Face directory", "", Arity::required},
         {"data", "PATH", "token shards made by `normlab prepare`, or text as it reads it; -: standard input",
          "", Arity::required},
         {"field", "NAME",
          "key of the text in JSON objects, column of a CSV file; given, standard input is JSONL", "text"},
         {"window", "blocked|strided", "windows side by side, or overlapping ones that advance by --stride",
          "blocked"},
         {"context", "T", "tokens in a window; 0: the model's context", "0"},
         {"stride", "N", "tokens a strided window advances by; 0: half a window", "0"},
         {"batch", "B", "windows computed together", "8"},
         {"seed", "N", "of a masked LM's masks, as `seed` in a training config", "1"},
         {"tokenizer", "DIR", "a tokenizer in place of the model's own"}}),
    "A causal model scores every token but the first. Texts are read as `normlab prepare`\n"
    "reads them; each document is scored from its first token on, behind what the tokenizer\n"
    "puts before a text (<s>), else the end-of-text token, when it has one; a masked LM's\n"
    "units are lines. Words are separated by white space.\n"
    "A masked LM is scored on 15 % of the tokens, masked as in validation: a pseudo-perplexity, which is\n"
    "not to be compared with a causal model's.\n"};

int eval_ppl(int argc, char** argv) {
  const Arguments args(ppl_usage, argc, argv);
  const double started = engine::now();
  apply_threads(args);
  const OpenModel open =
      open_model(args.text("model"), precision_of(args), args.text("tokenizer"));
  Json report = perplexity_report(open, {.data = args.text("data"),
                                         .read = {args.text("field"), args.given("field")},
                                         .strided = args.text("window") == "strided",
                                         .context = args.integer("context", 0, int64_t(1) << 31),
                                         .stride = args.integer("stride", 0, int64_t(1) << 31),
                                         .batch = args.integer("batch", 1, 1 << 20),
                                         .seed = uint64_t(args.integer("seed", 0, 1LL << 53)),
                                         .precision = args.text("precision")});
  report["seconds"] = engine::now() - started;
  std::fputs(args.on("json") ? (engine::json_text(report, 1) + "\n").c_str() : perplexity_table(report).c_str(),
             stdout);
  return 0;
}

}  // namespace

int cmd_eval(int argc, char** argv) {
  std::vector<Command> commands = {{"ppl", "perplexity a token, a word and a byte", eval_ppl}};
  for (const data::ChoiceTask& task : data::choice_tasks())
    commands.push_back({task.name, "choosing among continuations, zero-shot", eval_task});
  commands.push_back({"lambada", "guessing the last word of a passage, zero-shot", eval_task});
  return run_commands({"normlab eval", "scores a model", commands, ""}, argc, argv);
}

}  // namespace train
