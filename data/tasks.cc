// Read first: tasks.h.
#include "data/tasks.h"

#include "data/byte_source.h"
#include "data/task_readers.h"
#include "data/task_records.h"
#include "data/text_case.h"
#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/text.h"

namespace data {
namespace {

using engine::check;
using Names = std::vector<std::string>;

/// Under which names a folder holds the split that is scored; of a task with variants, by variant.
struct Files {
  std::string variant;
  Names names;
};

struct Task {
  ChoiceTask task;
  TaskReader read;
  std::vector<Files> files;
};

const std::vector<Task>& tasks() {
  static const std::vector<Task> table = {
      {{"arc", true, "acc_pmi", "Answer:"},
       read_arc,
       {{"easy", {"ARC-Easy-Test.jsonl", "ARC-Easy/ARC-Easy-Test.jsonl", "ARC-Easy/test.jsonl"}},
        {"challenge",
         {"ARC-Challenge-Test.jsonl", "ARC-Challenge/ARC-Challenge-Test.jsonl",
          "ARC-Challenge/test.jsonl"}}}},
      {{"boolq", false, "acc_token", ""}, read_boolq, {{"", {"dev.jsonl", "val.jsonl", "validation.jsonl"}}}},
      {{"copa", false, "acc_token", ""}, read_copa, {{"", {"val.jsonl", "validation.jsonl", "dev.jsonl"}}}},
      {{"hellaswag", true, "acc_token", ""},
       read_hellaswag,
       {{"", {"hellaswag_val.jsonl", "val.jsonl", "validation.jsonl"}}}},
      {{"openbookqa", true, "acc_pmi", "Answer:"}, read_openbookqa, {{"", {"test.jsonl"}}}},
      {{"piqa", true, "acc_token", ""}, read_piqa, {{"", {"valid.jsonl", "dev.jsonl", "validation.jsonl"}}}},
      {{"sciq", true, "acc_token", ""}, read_sciq, {{"", {"test.json", "test.jsonl"}}}},
      {{"storycloze", false, "acc_token", ""},
       read_storycloze,
       {{"", {"cloze_test_test__spring2016 - cloze_test_ALL_test.csv", "test.csv", "test.jsonl"}}}},
      {{"winogrande", false, "acc", ""}, read_winogrande, {{"", {"dev.jsonl", "validation.jsonl"}}}}};
  return table;
}

const std::vector<Files>& lambada_files() {
  static const std::vector<Files> files = {
      {"", {"lambada_test.jsonl", "lambada_test_en.jsonl", "test.jsonl", "lambada_test_plain_text.txt"}}};
  return files;
}

const Task& find_task(const std::string& name) {
  Names names;
  for (const Task& task : tasks()) {
    if (task.task.name == name) return task;
    names.push_back(task.task.name);
  }
  engine::fail("task \"", name, "\": expected ", engine::one_of(names),
               engine::near_hint(name, names, " (nearest: ", ")"));
}

const Names& names_of_variant(const std::string& task, const std::vector<Files>& files,
                              const std::string& variant) {
  Names variants;
  for (const Files& each : files) {
    if (each.variant == variant) return each.names;
    if (!each.variant.empty()) variants.push_back(each.variant);
  }
  check(!variants.empty(), task, " has no variants, got \"", variant, "\"");
  engine::fail(task, " in a folder: name one of its files, or the variant ", engine::one_of(variants));
}

}  // namespace

const std::vector<ChoiceTask>& choice_tasks() {
  static const std::vector<ChoiceTask> all = [] {
    std::vector<ChoiceTask> out;
    for (const Task& task : tasks()) out.push_back(task.task);
    return out;
  }();
  return all;
}

const ChoiceTask& choice_task(const std::string& name) { return find_task(name).task; }

int64_t choice_length(const Choice& choice) {
  const std::string_view text = choice.continuation;
  return int64_t(count_characters(text.substr(text.starts_with(' ') ? 1 : 0)));
}

std::string task_file(const std::string& task, const std::string& path, const std::string& variant) {
  if (!engine::is_directory(path)) return path;
  const Names& names =
      names_of_variant(task, task == "lambada" ? lambada_files() : find_task(task).files, variant);
  for (const auto& name : names)
    if (engine::is_regular_file(path + "/" + name)) return path + "/" + name;
  engine::fail(path, ": the folder does not have the file that ", task, " is scored on (expected ",
               engine::one_of(names), "); another split is named by its file");
}

std::vector<ChoiceItem> read_choice_task(const std::string& task, const std::string& path,
                                         const TaskOptions& options) {
  return find_task(task).read(task_file(task, path, options.variant), options.protocol);
}

std::vector<LambadaItem> read_lambada(const std::string& path) {
  const std::string file = task_file("lambada", path);
  std::vector<LambadaItem> out;
  const auto add = [&](const std::string& text, const std::string& where) {
    const size_t space = text.rfind(' ');
    check(space != text.npos, where, ": a passage needs a space before its last word");
    out.push_back({text.substr(0, space), text.substr(space)});
  };
  if (!file.ends_with(".txt")) {
    for_each_record(file, [&](const Record& r) { add(r.text({"text"}), r.where); });
    return out;
  }
  LineReader lines(file, size_t(16) << 20);
  for (std::string line; lines.next(line);) {
    const std::string where = file + ":" + std::to_string(lines.line_number());
    check(valid_utf8_prefix(line) == line.size(), where, ": not valid UTF-8");
    if (const std::string_view passage = strip(line); !passage.empty()) add(std::string(passage), where);
  }
  check(!out.empty(), file, ": no items in it");
  return out;
}

}  // namespace data
