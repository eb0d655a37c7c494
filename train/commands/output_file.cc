// Read first: output_file.h.
#include "train/commands/output_file.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"

namespace train {
namespace {

constexpr const char* kKept[] = {"config.json",      "checkpoint.json",       "training.json",
                                 "metrics.jsonl",    "plan.json",             "compare.json",
                                 "manifest.json",    "optimizer.safetensors", "tokenizer.json",
                                 "vocab.json",       "merges.txt",            "tokenizer_config.json",
                                 "special_tokens_map.json", "generation_config.json"};

/// Whether others look for a file by this name.
bool lives_by_name(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  if (name.ends_with(".bin") || (name.starts_with("model") && name.ends_with(".safetensors"))) return true;
  return std::any_of(std::begin(kKept), std::end(kKept), [&](const char* kept) { return name == kept; });
}

}  // namespace

std::string output_file(const Arguments& args, const std::string& flag,
                        const std::vector<std::string>& inputs) {
  const std::string path = args.text(flag);
  if (path.empty() || path == "-" || !engine::file_exists(path)) return path;
  const std::string what = "--" + flag + " " + path;
  engine::check(!engine::is_directory(path), what, ": a folder; a file is wanted");
  for (const std::string& input : inputs)
    engine::check(input.empty() || !engine::file_exists(input) || !engine::same_file(input, path), what,
                  ": an input of this command, which it would replace");
  engine::check(!lives_by_name(path), what,
                ": exists, and by its name it is part of a model, a run or a data set; give another file");
  return path;
}

}  // namespace train
