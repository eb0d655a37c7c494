// Read first: tasks.h.
#include "data/tasks.h"

#include <algorithm>
#include <filesystem>

#include "data/byte_source.h"
#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/text.h"

namespace data {
namespace {

using engine::check;
using engine::Json;
using Items = std::vector<ChoiceItem>;
namespace fs = std::filesystem;

/// One JSON object of a file: typed access with errors that name the line.
struct Record {
  Json object;
  std::string where;

  const Json& at(const std::string& key) const {
    check(object.is_object() && object.contains(key), where, ": no key \"", key, "\"");
    return object[key];
  }
  std::string text(const std::string& key) const { return engine::json_string(at(key), where + ": " + key); }
  int64_t integer(const std::string& key, int64_t low, int64_t high) const {
    return engine::json_int(at(key), where + ": " + key, low, high);
  }
};

std::vector<Record> read_records(const std::string& path) {
  std::vector<Record> out;
  LineReader lines(path, size_t(16) << 20);
  std::string line;
  while (lines.next(line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = path + ":" + std::to_string(lines.line_number());
    check(valid_utf8_prefix(line) == line.size(), where, ": not valid UTF-8");
    out.push_back({engine::parse_json(line, where), where});
  }
  check(!out.empty(), path, ": no items in it");
  return out;
}

std::string name_of(size_t index) { return std::to_string(index); }

/// Rowan Zellers' cleaned form: query, endings, label. Also the original: activity_label, ctx_a, ctx_b.
Items read_hellaswag(const std::string& path) {
  Items out;
  for (const Record& r : read_records(path)) {
    std::string context;
    if (r.object.contains("query")) {
      context = r.text("query");
    } else {
      std::string second = r.text("ctx_b");
      if (!second.empty() && second[0] >= 'a' && second[0] <= 'z') second[0] = char(second[0] - 32);
      context = r.text("activity_label") + ": " + r.text("ctx_a") + (second.empty() ? "" : " " + second);
    }
    ChoiceItem item{.id = r.object.contains("ind") ? engine::json_text(r.at("ind")) : name_of(out.size())};
    check(r.at("endings").is_array() && r.at("endings").size() == 4, r.where,
          ": endings: expected a list of 4");
    for (const Json& ending : r.at("endings"))
      item.choices.push_back({context, " " + engine::json_string(ending, r.where + ": endings")});
    if (r.object.contains("label") && r.at("label") != "") item.label = int(r.integer("label", 0, 3));
    out.push_back(std::move(item));
  }
  return out;
}

/// Labels stand in a second file, one number a line: NAME.jsonl with NAME-labels.lst.
Items read_piqa(const std::string& path) {
  Items out;
  for (const Record& r : read_records(path)) {
    const std::string context = "Question: " + r.text("goal") + "\nAnswer:";
    out.push_back({name_of(out.size()), {{context, " " + r.text("sol1")}, {context, " " + r.text("sol2")}}});
  }
  const fs::path file(path);
  const std::string labels = (file.parent_path() / (file.stem().string() + "-labels.lst")).string();
  if (!engine::file_exists(labels)) return out;
  LineReader lines(labels);
  std::string line;
  size_t n = 0;
  for (; lines.next(line); ++n) {
    if (line.ends_with('\r')) line.pop_back();
    check(n < out.size(), labels, ": more labels than the ", out.size(), " items of ", path);
    check(line == "0" || line == "1", labels, ":", n + 1, ": expected 0 or 1, got \"", line.substr(0, 40),
          "\"");
    out[n].label = line[0] - '0';
  }
  check(n == out.size(), labels, ": ", n, " labels for the ", out.size(), " items of ", path);
  return out;
}

Items read_winogrande(const std::string& path) {
  Items out;
  for (const Record& r : read_records(path)) {
    const std::string sentence = r.text("sentence");
    const size_t blank = sentence.find('_');
    check(blank != std::string::npos, r.where, ": no blank (_) in the sentence");
    ChoiceItem item{.id = r.text("qID")};
    for (const char* option : {"option1", "option2"})
      item.choices.push_back({sentence.substr(0, blank) + r.text(option), sentence.substr(blank + 1)});
    const std::string answer = r.object.contains("answer") ? r.text("answer") : "";
    check(answer.empty() || answer == "1" || answer == "2", r.where, ": answer: expected 1 or 2, got \"",
          answer.substr(0, 40), "\"");
    item.label = answer.empty() ? -1 : answer[0] - '1';
    out.push_back(std::move(item));
  }
  return out;
}

/// OpenBookQA and ARC share a format; ARC has 3 to 5 choices, labelled A, B, ... or 1, 2, ...
Items read_labelled_choices(const std::string& path, bool as_question) {
  Items out;
  for (const Record& r : read_records(path)) {
    const Record question{r.at("question"), r.where + ": question"};
    const std::string stem = question.text("stem");
    ChoiceItem item{.id = r.text("id")};
    std::vector<std::string> labels;
    check(question.at("choices").is_array() && question.at("choices").size() >= 2, question.where,
          ": choices: expected a list of at least 2");
    for (const Json& c : question.at("choices")) {
      const Record choice{c, question.where + ": choices"};
      item.choices.push_back(
          {as_question ? "Question: " + stem + "\nAnswer:" : stem, " " + choice.text("text")});
      labels.push_back(choice.text("label"));
    }
    if (r.object.contains("answerKey")) {
      const auto found = std::find(labels.begin(), labels.end(), r.text("answerKey"));
      check(found != labels.end(), r.where, ": answerKey \"", r.text("answerKey").substr(0, 40),
            "\" is none of ", engine::one_of(labels));
      item.label = int(found - labels.begin());
    }
    out.push_back(std::move(item));
  }
  return out;
}

Items read_openbookqa(const std::string& path) { return read_labelled_choices(path, false); }
Items read_arc(const std::string& path) { return read_labelled_choices(path, true); }

/// CSV: InputStoryid, InputSentence1 .. 4, RandomFifthSentenceQuiz1, RandomFifthSentenceQuiz2,
/// AnswerRightEnding.
Items read_storycloze(const std::string& path) {
  const std::string text = read_all(*open_bytes(path), path, size_t(256) << 20);
  check(valid_utf8_prefix(text) == text.size(), path, ": not valid UTF-8");
  std::vector<std::string> header, fields;
  size_t at = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
  read_csv_record(text, at, header, path);
  const auto column = [&](const std::string& name) {
    const auto found = std::find(header.begin(), header.end(), name);
    check(found != header.end(), path, ": no column ", name, " in the first line");
    return size_t(found - header.begin());
  };
  std::vector<size_t> sentences;
  for (int i = 1; i <= 4; ++i) sentences.push_back(column("InputSentence" + std::to_string(i)));
  const size_t first = column("RandomFifthSentenceQuiz1"), second = column("RandomFifthSentenceQuiz2");
  const size_t id = column("InputStoryid");
  const bool answered = std::find(header.begin(), header.end(), "AnswerRightEnding") != header.end();
  Items out;
  while (read_csv_record(text, at, fields, path)) {
    const std::string where = path + ": record " + std::to_string(out.size() + 1);
    check(fields.size() == header.size(), where, " has ", fields.size(), " fields, the first line ",
          header.size());
    std::string context;
    for (const size_t s : sentences) context += (context.empty() ? "" : " ") + fields[s];
    ChoiceItem item{fields[id], {{context, " " + fields[first]}, {context, " " + fields[second]}}};
    if (answered) {
      const std::string& answer = fields[column("AnswerRightEnding")];
      check(answer == "1" || answer == "2", where, ": AnswerRightEnding: expected 1 or 2, got \"",
            answer.substr(0, 40), "\"");
      item.label = answer[0] - '1';
    }
    out.push_back(std::move(item));
  }
  check(!out.empty(), path, ": no items in it");
  return out;
}

struct Task {
  std::string name;
  Items (*read)(const std::string&);
  std::vector<std::string> files;  // in a folder, the first that exists
  std::string neutral;
};

const std::vector<Task>& tasks() {
  static const std::vector<Task> table = {
      {"arc",
       read_arc,
       {"ARC-Easy-Dev.jsonl", "ARC-Challenge-Dev.jsonl", "ARC-Easy-Test.jsonl", "ARC-Challenge-Test.jsonl",
        "dev.jsonl", "test.jsonl"},
       "Answer:"},
      {"hellaswag", read_hellaswag, {"hellaswag_val.jsonl", "val.jsonl"}, ""},
      {"openbookqa", read_openbookqa, {"test.jsonl", "dev.jsonl"}, "Answer:"},
      {"piqa", read_piqa, {"valid.jsonl", "dev.jsonl"}, "Answer:"},
      {"storycloze",
       read_storycloze,
       {"cloze_test_val__winter2018-cloze_test_ALL_val - 1 - 1.csv",
        "cloze_test_test__spring2016 - cloze_test_ALL_test.csv",
        "cloze_test_val__spring2016 - cloze_test_ALL_val.csv", "valid.csv", "test.csv"},
       ""},
      {"winogrande", read_winogrande, {"dev.jsonl"}, ""}};
  return table;
}

const Task& find_task(const std::string& name) {
  for (const Task& task : tasks())
    if (task.name == name) return task;
  engine::fail("task \"", name, "\": expected ", engine::one_of(choice_task_names()),
               " (nearest: ", engine::nearest_word(name, choice_task_names()), ")");
}

/// `path` itself, or the first of `files` that the folder `path` has.
std::string task_file(const std::string& path, const std::vector<std::string>& files) {
  if (!engine::is_directory(path)) return path;
  for (const auto& file : files)
    if (engine::file_exists(path + "/" + file)) return path + "/" + file;
  engine::fail(path, ": no file of this task in the folder (expected ", engine::one_of(files), ")");
}

}  // namespace

std::vector<std::string> choice_task_names() {
  std::vector<std::string> out;
  for (const Task& task : tasks()) out.push_back(task.name);
  return out;
}

std::vector<ChoiceItem> read_choice_task(const std::string& task, const std::string& path) {
  const Task& found = find_task(task);
  return found.read(task_file(path, found.files));
}

std::string neutral_context(const std::string& task) { return find_task(task).neutral; }

std::vector<LambadaItem> read_lambada(const std::string& path) {
  std::vector<LambadaItem> out;
  for (const Record& r : read_records(task_file(path, {"test.jsonl", "lambada_test.jsonl"}))) {
    std::string text = r.text("text");
    while (!text.empty() && (text.back() == ' ' || text.back() == '\n')) text.pop_back();
    const size_t space = text.find_last_of(" \n");
    check(space != std::string::npos && space > 0, r.where, ": a passage needs at least two words");
    out.push_back({text.substr(0, space), text.substr(space)});
  }
  return out;
}

bool read_csv_record(const std::string& text, size_t& at, std::vector<std::string>& fields,
                     const std::string& what) {
  fields.clear();
  if (at >= text.size()) return false;
  const size_t start = at;
  for (;;) {
    std::string& field = fields.emplace_back();
    if (at < text.size() && text[at] == '"') {
      for (++at;; ++at) {
        check(at < text.size(), what, ": the quote of the record at byte ", start, " is never closed");
        if (text[at] == '"' && (++at >= text.size() || text[at] != '"')) break;
        field += text[at];
      }
    }
    while (at < text.size() && text[at] != ',' && text[at] != '\n' && text[at] != '\r') field += text[at++];
    if (at >= text.size()) return true;
    const char end = text[at++];
    if (end == ',') continue;
    if (end == '\r' && at < text.size() && text[at] == '\n') ++at;
    return true;
  }
}

}  // namespace data
