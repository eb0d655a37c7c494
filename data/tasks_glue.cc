// Read first: tasks_glue.h.
#include "data/tasks_glue.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "data/byte_source.h"
#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/folder.h"
#include "engine/base/text.h"

namespace data {
namespace {

using engine::check;
namespace fs = std::filesystem;
using Fields = std::vector<std::string>;

/// How one task's files are laid out. Columns are found by their names in the first line.
struct Layout {
  GlueTask task;
  std::string first, second;       // columns of the sentences
  std::vector<std::string> label;  // of the label: the first name that the header has
  std::string folder;              // GLUE's name for the task
};

const std::vector<Layout>& layouts() {
  const std::vector<std::string> binary{"0", "1"}, entailment{"not_entailment", "entailment"};
  static const std::vector<Layout> table = {
      {{"cola", binary, GlueMetric::matthews}, "sentence", "", {"label"}, "CoLA"},
      {{"mnli", {"contradiction", "neutral", "entailment"}, GlueMetric::accuracy},
       "sentence1",
       "sentence2",
       {"gold_label"},
       "MNLI"},
      {{"mrpc", binary, GlueMetric::accuracy_and_f1}, "#1 String", "#2 String", {"Quality"}, "MRPC"},
      {{"qnli", entailment, GlueMetric::accuracy}, "question", "sentence", {"label"}, "QNLI"},
      {{"qqp", binary, GlueMetric::accuracy_and_f1}, "question1", "question2", {"is_duplicate"}, "QQP"},
      {{"rte", entailment, GlueMetric::accuracy}, "sentence1", "sentence2", {"label"}, "RTE"},
      {{"sst2", binary, GlueMetric::accuracy}, "sentence", "", {"label"}, "SST-2"},
      {{"stsb", {}, GlueMetric::pearson_and_spearman}, "sentence1", "sentence2", {"score"}, "STS-B"},
      {{"wnli", binary, GlueMetric::accuracy}, "sentence1", "sentence2", {"label"}, "WNLI"}};
  return table;
}

const Layout& find_layout(const std::string& name) {
  std::vector<std::string> names;
  for (const Layout& layout : layouts()) {
    if (layout.task.name == name) return layout;
    names.push_back(layout.task.name);
  }
  engine::fail("GLUE task \"", name, "\": expected ", engine::one_of(names),
               " (nearest: ", engine::nearest_word(name, names), ")");
}

Fields split_tabs(std::string line) {
  if (line.ends_with('\r')) line.pop_back();
  Fields out(1);
  for (const char c : line) {
    if (c == '\t')
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

/// Where the fields of one file are; -1: not there.
struct Columns {
  int first = -1, second = -1, label = -1;
  size_t count = 0;
  bool header = true;
};

Columns find_columns(const Layout& layout, const Fields& line, const std::string& path) {
  const auto column = [&](const std::string& name) {
    const auto found = std::find(line.begin(), line.end(), name);
    return found == line.end() || name.empty() ? -1 : int(found - line.begin());
  };
  Columns out{.first = column(layout.first), .second = column(layout.second), .count = line.size()};
  for (const auto& name : layout.label)
    if (out.label < 0) out.label = column(name);
  // CoLA's train and dev files have no header: source, label, the author's mark, sentence.
  if (layout.task.name == "cola" && out.first < 0 && line.size() == 4) {
    out.first = 3, out.label = 1, out.header = false;
    return out;
  }
  check(out.first >= 0, path, ": no column \"", layout.first, "\" in the first line: not a file of ",
        layout.task.name);
  check(layout.second.empty() || out.second >= 0, path, ": no column \"", layout.second,
        "\" in the first line: not a file of ", layout.task.name);
  return out;
}

float parse_label(const Layout& layout, const std::string& text, const std::string& where) {
  const auto& classes = layout.task.classes;
  if (!classes.empty()) {
    const auto found = std::find(classes.begin(), classes.end(), text);
    check(found != classes.end(), where, ": label \"", text.substr(0, 40), "\" is not ",
          engine::one_of(classes));
    return float(found - classes.begin());
  }
  char* end = nullptr;
  const float score = std::strtof(text.c_str(), &end);
  check(!text.empty() && *end == 0 && std::isfinite(score) && score >= 0 && score <= 5, where, ": score \"",
        text.substr(0, 40), "\" is not a number from 0 to 5");
  return score;
}

/// A few rows of QQP's train file have too few fields; its readers pass over them. Elsewhere a wrong count is
/// damage.
bool may_skip(const std::string& task) { return task == "qqp"; }

}  // namespace

const std::vector<GlueTask>& glue_tasks() {
  static const std::vector<GlueTask> table = [] {
    std::vector<GlueTask> out;
    for (const Layout& layout : layouts()) out.push_back(layout.task);
    return out;
  }();
  return table;
}

const GlueTask& glue_task(const std::string& name) { return find_layout(name).task; }

std::string glue_file(const std::string& task, const std::string& folder, const std::string& split) {
  const Layout& layout = find_layout(task);
  std::vector<std::string> names{split + ".tsv"};
  if (task == "mnli" && split == "dev") names = {"dev_matched.tsv"};
  if (task == "mnli" && split == "test") names = {"test_matched.tsv"};
  if (task == "mnli" && split == "dev_mm") names = {"dev_mismatched.tsv"};
  if (task == "mnli" && split == "test_mm") names = {"test_mismatched.tsv"};
  if (task == "cola" && split == "train") names.push_back("in_domain_train.tsv");
  if (task == "cola" && split == "dev") names.insert(names.end(), {"glue_dev.tsv", "in_domain_dev.tsv"});
  if (task == "mrpc" && split == "train") names.push_back("msr_paraphrase_train.txt");
  if (task == "mrpc" && split != "train") names.push_back("msr_paraphrase_test.txt");
  for (const auto& base : {folder, folder + "/" + layout.folder})
    for (const auto& name : names)
      if (engine::is_regular_file(base + "/" + name)) return base + "/" + name;
  return "";
}

std::vector<GlueItem> read_glue(const std::string& task, const std::string& path) {
  const Layout& layout = find_layout(task);
  LineReader lines(path, size_t(16) << 20);
  std::string line;
  check(lines.next(line), path, ": the file is empty");
  if (line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
  const Columns columns = find_columns(layout, split_tabs(line), path);
  std::vector<GlueItem> out;
  for (bool more = columns.header ? lines.next(line) : true; more; more = lines.next(line)) {
    if (line.empty()) continue;
    const std::string where = path + ":" + std::to_string(lines.line_number());
    check(valid_utf8_prefix(line) == line.size(), where, ": not valid UTF-8");
    const Fields fields = split_tabs(line);
    if (fields.size() != columns.count && may_skip(task)) continue;
    check(fields.size() == columns.count, where, ": ", fields.size(), " fields, the first line has ",
          columns.count);
    GlueItem item{.first = fields[size_t(columns.first)]};
    if (columns.second >= 0) item.second = fields[size_t(columns.second)];
    if (columns.label >= 0) item.label = parse_label(layout, fields[size_t(columns.label)], where);
    out.push_back(std::move(item));
  }
  check(!out.empty(), path, ": no items in it");
  return out;
}

}  // namespace data
