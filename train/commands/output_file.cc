// Read first: output_file.h.
#include "train/commands/output_file.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "models/companions.h"

namespace train {
namespace {

// Of runs, comparisons, fine-tunings and corpora.
constexpr const char* kKept[] = {"checkpoint.json", "training.json", "metrics.jsonl", "optimizer.safetensors",
                                 "plan.json",       "compare.json",  "log.txt",       "sample.txt",
                                 "outcome.json",    "updates.json",  "failure.txt",   "finetune.json",
                                 "result.json",     "manifest.json"};

/// Whether others look for a file by this name.
bool lives_by_name(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return name.ends_with(".bin") || models::is_model_file(name) ||
         std::any_of(std::begin(kKept), std::end(kKept), [&](const char* kept) { return name == kept; });
}

}  // namespace

std::string output_file(const Arguments& args, const std::string& flag,
                        const std::vector<std::string>& inputs, Dash dash) {
  const std::string path = args.text(flag);
  engine::check(path != "-" || dash == Dash::allowed, "--", flag, " -: a file is wanted");
  if (!path.empty() && path != "-") check_output("--" + flag + " " + path, path, inputs);
  return path;
}

void check_output(const std::string& what, const std::string& path, const std::vector<std::string>& inputs) {
  const size_t slash = path.rfind('/');
  engine::check(slash == path.npos || slash == 0 || engine::is_directory(path.substr(0, slash)), what,
                ": its folder is not there");
  if (!engine::file_exists(path)) return;
  engine::check(!engine::is_directory(path), what, ": a folder; a file is wanted");
  engine::check(engine::is_regular_file(path), what, ": not a regular file");
  for (const std::string& input : inputs)
    engine::check(input.empty() || !engine::file_exists(input) || !engine::same_file(input, path), what,
                  ": an input of this command, which it would replace");
  engine::check(!lives_by_name(path), what,
                ": exists, and by its name it is part of a model, a run or a data set; give another file");
}

}  // namespace train
