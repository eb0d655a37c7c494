// Read first: tasks_glue.h.
#include "data/tasks_glue.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "data/byte_source.h"
#include "data/file_kind.h"
#include "data/task_records.h"
#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/folder.h"
#include "engine/base/log.h"
#include "engine/base/text.h"

namespace data {
namespace {

using engine::check;
namespace fs = std::filesystem;
using engine::Json;
using Fields = std::vector<std::string>;

const std::vector<std::string> kIndexNames = {"index", "id", "idx"};  // of a row's number
constexpr char kNoMajority[] = "-";  // MNLI's gold label where no three annotators agreed

/// How one task's files are laid out: a column or key is the first of its names that the file has.
struct Layout {
  GlueTask task;
  std::vector<std::string> first, second;  // of the sentences
  std::vector<std::string> label;
  std::string folder;            // GLUE's name for the task
  std::vector<std::string> hub;  // what the numbers 0, 1, ... of Hugging Face's copy mean
};

const std::vector<Layout>& layouts() {
  const std::vector<std::string> binary{"0", "1"}, entailment{"not_entailment", "entailment"};
  const std::vector<std::string> hub_entailment{"entailment", "not_entailment"};
  const std::vector<std::string> premise{"sentence1", "premise"}, hypothesis{"sentence2", "hypothesis"};
  static const std::vector<Layout> table = {
      {{"cola", binary, GlueMetric::matthews, {"unacceptable", "acceptable"}},
       {"sentence"},
       {},
       {"label"},
       "CoLA",
       binary},
      {{"mnli", {"contradiction", "neutral", "entailment"}, GlueMetric::accuracy},
       premise,
       hypothesis,
       {"gold_label", "label"},
       "MNLI",
       {"entailment", "neutral", "contradiction"}},
      {{"mrpc", binary, GlueMetric::accuracy_and_f1, {"not_equivalent", "equivalent"}},
       {"#1 String", "sentence1"},
       {"#2 String", "sentence2"},
       {"Quality", "label"},
       "MRPC",
       binary},
      {{"qnli", entailment, GlueMetric::accuracy},
       {"question"},
       {"sentence"},
       {"label"},
       "QNLI",
       hub_entailment},
      {{"qqp", binary, GlueMetric::accuracy_and_f1, {"not_duplicate", "duplicate"}},
       {"question1"},
       {"question2"},
       {"is_duplicate", "label"},
       "QQP",
       binary},
      {{"rte", entailment, GlueMetric::accuracy}, premise, hypothesis, {"label"}, "RTE", hub_entailment},
      {{"sst2", binary, GlueMetric::accuracy, {"negative", "positive"}},
       {"sentence"},
       {},
       {"label"},
       "SST-2",
       binary},
      {{"stsb", {}, GlueMetric::pearson_and_spearman},
       {"sentence1"},
       {"sentence2"},
       {"score", "label"},
       "STS-B",
       {}},
      {{"wnli", binary, GlueMetric::accuracy, {"not_entailment", "entailment"}},
       premise,
       hypothesis,
       {"label"},
       "WNLI",
       binary}};
  return table;
}

const Layout& find_layout(const std::string& name) {
  std::vector<std::string> names;
  for (const Layout& layout : layouts()) {
    if (layout.task.name == name) return layout;
    names.push_back(layout.task.name);
  }
  engine::fail("GLUE task \"", name, "\": expected ", engine::one_of(names),
               engine::near_hint(name, names, " (nearest: ", ")"));
}

/// A few rows of QQP's train file have too few fields; its readers pass over them. Elsewhere a wrong count is
/// damage.
bool may_skip(const std::string& task) { return task == "qqp"; }

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
  int first = -1, second = -1, label = -1, index = -1;
  size_t count = 0;
  bool header = true;
};

Columns find_columns(const Layout& layout, const Fields& line, const std::string& path) {
  const auto column = [&](const std::vector<std::string>& names) {
    for (const auto& name : names)
      if (const auto found = std::find(line.begin(), line.end(), name); found != line.end())
        return int(found - line.begin());
    return -1;
  };
  Columns out{.first = column(layout.first),
              .second = column(layout.second),
              .label = column(layout.label),
              .index = column(kIndexNames),
              .count = line.size()};
  // CoLA's train and dev files have no header: source, label, the author's mark, sentence.
  if (layout.task.name == "cola" && out.first < 0 && line.size() == 4) {
    out.first = 3, out.label = 1, out.header = false;
    return out;
  }
  check(out.first >= 0, path, ": no column \"", layout.first[0], "\" in the first line: not a file of ",
        layout.task.name);
  if (!layout.second.empty())
    check(out.second >= 0, path, ": no column \"", layout.second[0], "\" in the first line: not a file of ",
          layout.task.name);
  return out;
}

double parse_label(const Layout& layout, const std::string& text, const std::string& where) {
  const auto& classes = layout.task.classes;
  if (!classes.empty()) {
    const auto found = std::find(classes.begin(), classes.end(), text);
    check(found != classes.end(), where, ": label \"", text.substr(0, 40), "\" is not ",
          engine::one_of(classes));
    return double(found - classes.begin());
  }
  char* end = nullptr;
  const double score = std::strtod(text.c_str(), &end);
  check(!text.empty() && *end == 0 && std::isfinite(score) && score >= 0 && score <= 5, where, ": score \"",
        text.substr(0, 40), "\" is not a number from 0 to 5");
  return score;
}

/// The label of a JSON object: a class by its name or by Hugging Face's number, or a score.
double json_label(const Layout& layout, const Json& label, const std::string& where) {
  if (label.is_null() || label == -1 || label == -1.0) return -1;
  const std::string text = label.is_string() ? label.get<std::string>() : engine::json_text(label);
  const auto& classes = layout.task.classes;
  if (classes.empty() || std::find(classes.begin(), classes.end(), text) != classes.end())
    return parse_label(layout, text, where);
  if (label.is_string()) return parse_label(layout, text, where);
  return parse_label(
      layout, layout.hub[size_t(engine::json_int(label, where, 0, int64_t(layout.hub.size()) - 1))], where);
}

std::vector<GlueItem> read_json(const Layout& layout, const std::string& path, GlueLabels labels) {
  std::vector<GlueItem> out;
  for (const Record& r : read_records(path)) {
    const auto find = [&](const std::vector<std::string>& names) {
      const Json* found = nullptr;
      for (const auto& name : names)
        if (found == nullptr) found = r.find({name.c_str()});
      return found;
    };
    const auto text = [&](const std::vector<std::string>& names) -> std::string {
      if (names.empty()) return "";
      const Json* found = find(names);
      check(found != nullptr, r.where, ": no key \"", names[0], "\": not a file of ", layout.task.name);
      return engine::json_string(*found, r.where + ": " + names[0]);
    };
    const Json* label = labels == GlueLabels::wanted ? find(layout.label) : nullptr;
    if (label != nullptr && *label == kNoMajority) continue;
    out.push_back({text(layout.first), text(layout.second),
                   label == nullptr ? -1 : json_label(layout, *label, r.where + ": " + layout.label[0]), "",
                   r.where});
    if (const Json* index = find(kIndexNames);
        index != nullptr && (index->is_number_integer() || index->is_string()))
      out.back().index = index->is_string() ? index->get<std::string>() : engine::json_text(*index);
  }
  return out;
}

std::vector<GlueItem> read_tsv(const Layout& layout, const std::string& path, GlueLabels labels) {
  LineReader lines(path, size_t(16) << 20);
  std::string line;
  check(lines.next(line), path, ": the file is empty");
  if (line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
  Columns columns = find_columns(layout, split_tabs(line), path);
  if (labels == GlueLabels::ignored) columns.label = -1;
  std::vector<GlueItem> out;
  int64_t skipped = 0;
  for (bool more = columns.header ? lines.next(line) : true; more; more = lines.next(line)) {
    if (line.empty() || line == "\r") continue;
    const std::string where = path + ":" + std::to_string(lines.line_number());
    check(valid_utf8_prefix(line) == line.size(), where, ": not valid UTF-8");
    const Fields fields = split_tabs(line);
    if (fields.size() != columns.count && may_skip(layout.task.name) && labels == GlueLabels::wanted) {
      ++skipped;
      continue;
    }
    check(fields.size() == columns.count, where, ": ", fields.size(), " fields, the first line has ",
          columns.count);
    if (columns.label >= 0 && fields[size_t(columns.label)] == kNoMajority) continue;
    GlueItem item{.first = fields[size_t(columns.first)], .where = where};
    if (columns.second >= 0) item.second = fields[size_t(columns.second)];
    if (columns.label >= 0) item.label = parse_label(layout, fields[size_t(columns.label)], where);
    if (columns.index >= 0) item.index = fields[size_t(columns.index)];
    out.push_back(std::move(item));
  }
  if (skipped > 0)
    engine::log_warning(path, ": rows without the ", columns.count,
                        " fields of the first line, left out: ", skipped);
  return out;
}

/// Whether a file begins as JSON does. An array may be one line, however long.
bool is_json(const std::string& path) {
  const auto source = open_text(path);
  std::string head;
  while (head.size() < kSampledBytes && source->read(head)) {
  }
  const size_t begin = head.find_first_not_of(" \t\r\n", head.starts_with("\xef\xbb\xbf") ? 3 : 0);
  return begin != head.npos && (head[begin] == '{' || head[begin] == '[');
}

}  // namespace

const std::vector<GlueTask>& glue_tasks() {
  static const std::vector<GlueTask> table = [] {
    std::vector<GlueTask> out;
    for (const Layout& layout : layouts()) {
      out.push_back(layout.task);
      out.back().one_text = layout.second.empty();
    }
    return out;
  }();
  return table;
}

const GlueTask& glue_task(const std::string& name) {
  const std::string& known = find_layout(name).task.name;
  return *std::find_if(glue_tasks().begin(), glue_tasks().end(),
                       [&](const GlueTask& task) { return task.name == known; });
}

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
  const size_t originals = names.size();
  for (size_t i = 0; i < originals; ++i)
    if (names[i].ends_with(".tsv")) names.push_back(names[i].substr(0, names[i].size() - 4) + ".jsonl");
  if (split.starts_with("dev")) {  // Hugging Face's word
    const bool mnli = task == "mnli";
    names.push_back(!mnli            ? "validation.jsonl"
                    : split == "dev" ? "validation_matched.jsonl"
                                     : "validation_mismatched.jsonl");
  }
  for (const auto& base : {folder, folder + "/" + layout.folder})
    for (const auto& name : names)
      if (engine::is_regular_file(base + "/" + name)) return base + "/" + name;
  return "";
}

std::vector<GlueItem> read_glue(const std::string& task, const std::string& path, GlueLabels labels) {
  const Layout& layout = find_layout(task);
  std::vector<GlueItem> out =
      is_json(path) ? read_json(layout, path, labels) : read_tsv(layout, path, labels);
  check(!out.empty(), path, ": no items in it");
  return out;
}

}  // namespace data
