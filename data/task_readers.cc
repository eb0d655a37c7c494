// Read first: task_readers.h.
#include "data/task_readers.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "data/byte_source.h"
#include "data/task_records.h"
#include "data/text_case.h"
#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace data {
namespace {

using engine::check;
using engine::Json;
using Items = std::vector<ChoiceItem>;

/// One context for all continuations.
std::vector<Choice> choices_of(const std::string& context, const std::vector<std::string>& continuations) {
  std::vector<Choice> out;
  for (const std::string& continuation : continuations) out.push_back({context, continuation});
  return out;
}

std::string question_prompt(const std::string& question) { return "Question: " + question + "\nAnswer:"; }

std::string without_last_character(std::string_view text) {
  if (text.empty()) return "";
  const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
  return std::string(text.substr(0, text.size() - decode_char_before(begin, begin + text.size()).bytes));
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string out;
  size_t at = 0;
  for (size_t found; (found = text.find(from, at)) != text.npos; at = found + from.size())
    out.append(text, at, found - at).append(to);
  text = out.append(text, at);
}

/// Removes [what stands in brackets]: to the first closing bracket, on one line.
void remove_brackets(std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '[') {
      out += text[at++];
      continue;
    }
    const size_t end = std::min(text.find_first_of("]\n", at), text.size());
    if (end == text.size() || text[end] == '\n') out.append(text, at, end - at);  // none of these is closed
    at = end < text.size() && text[end] == ']' ? end + 1 : end;
  }
  text = std::move(out);
}

/// HellaSwag's WikiHow half has [header], [title], [step] and [substeps] in its texts: the harness's
/// `preprocess`.
std::string clean_hellaswag(std::string_view raw) {
  std::string text(strip(raw));
  replace_all(text, " [title]", ". ");
  remove_brackets(text);
  replace_all(text, "  ", " ");
  return text;
}

struct LabelledChoices {
  std::vector<std::string> texts, labels;
};

/// [{"text", "label"}, ...] as the authors have it, or {"text": [...], "label": [...]} as Hugging Face does.
LabelledChoices labelled_choices(const Json& value, const std::string& where) {
  LabelledChoices out;
  const auto strings = [&](const Json& list) {
    std::vector<std::string> texts;
    check(list.is_array(), where, ": expected lists of texts and labels");
    for (const Json& text : list) texts.push_back(engine::json_string(text, where));
    return texts;
  };
  if (value.is_object()) {
    const Record lists{value, where};
    out = {strings(lists.at({"text"})), strings(lists.at({"label"}))};
    check(out.texts.size() == out.labels.size(), where, ": ", out.texts.size(), " texts and ",
          out.labels.size(), " labels");
  } else if (value.is_array()) {
    for (const Json& each : value) {
      const Record choice{each, where};
      out.texts.push_back(choice.text({"text"}));
      out.labels.push_back(choice.text({"label"}));
    }
  }
  constexpr size_t most = 26;  // labels from A to Z; each choice is read behind the whole question
  check(out.texts.size() >= 2 && out.texts.size() <= most, where, ": expected a list of 2 to ", most,
        ", got ", out.texts.size());
  return out;
}

/// OpenBookQA and ARC share their formats; ARC has 3 to 5 choices, labelled A, B, ... or 1, 2, ...
Items read_labelled_choices(const std::string& path, bool as_question) {
  Items out;
  for (const Record& r : read_records(path)) {
    const Json& question = r.at({"question", "question_stem"});
    const Record original{question, r.where + ": question"};
    const std::string stem = question.is_object() ? original.text({"stem"})
                                                  : engine::json_string(question, r.where + ": question");
    const LabelledChoices choices =
        labelled_choices((question.is_object() ? original : r).at({"choices"}), r.where + ": choices");
    ChoiceItem item{.id = r.id({"id"}, out.size())};
    for (const std::string& text : choices.texts)
      item.choices.push_back({as_question ? question_prompt(stem) : stem, " " + text});
    if (const Json* key = r.find({"answerKey"}); key != nullptr && !key->is_null() && *key != "") {
      const std::string answer = engine::json_string(*key, r.where + ": answerKey");
      const auto found = std::find(choices.labels.begin(), choices.labels.end(), answer);
      check(found != choices.labels.end(), r.where, ": answerKey \"", answer.substr(0, 40), "\" is none of ",
            engine::one_of(choices.labels));
      check(std::count(found, choices.labels.end(), answer) == 1, r.where, ": answerKey \"",
            answer.substr(0, 40), "\" is the label of more than one choice");
      item.label = int(found - choices.labels.begin());
    }
    out.push_back(std::move(item));
  }
  return out;
}

/// PIQA's authors have the labels in a second file, one number a line: NAME.jsonl with NAME-labels.lst.
void read_labels(const std::string& path, const std::string& labels, Items& items) {
  LineReader lines(labels);
  std::string line;
  size_t n = 0;
  for (; lines.next(line); ++n) {
    if (line.ends_with('\r')) line.pop_back();
    check(n < items.size(), labels, ": more labels than the ", items.size(), " items of ", path);
    check(line == "0" || line == "1", labels, ":", n + 1, ": expected 0 or 1, got \"", line.substr(0, 40),
          "\"");
    check(items[n].label < 0 || items[n].label == line[0] - '0', labels, ":", n + 1, ": label ", line,
          ", but ", path, " itself says ", items[n].label);
    items[n].label = line[0] - '0';
  }
  check(n == items.size(), labels, ": ", n, " labels for the ", items.size(), " items of ", path);
}

/// true and false, as such, as words or as 1 and 0.
int truth(const Record& r) {
  const Json* value = r.find({"answer", "label"});
  if (value == nullptr || !(value->is_boolean() || value->is_string()))
    return r.answer({"answer", "label"}, 0, 1);
  if (value->is_boolean()) return value->get<bool>() ? 1 : 0;
  const auto& word = value->get_ref<const std::string&>();
  if (word == "true" || word == "True") return 1;
  if (word == "false" || word == "False") return 0;
  return r.answer({"answer", "label"}, 0, 1);
}

}  // namespace

Items read_arc(const std::string& path, Protocol) { return read_labelled_choices(path, true); }
Items read_openbookqa(const std::string& path, Protocol) { return read_labelled_choices(path, false); }

Items read_boolq(const std::string& path, Protocol protocol) {
  const bool gpt3 = protocol == Protocol::gpt3;
  Items out;
  for (const Record& r : read_records(path)) {
    const std::string context = r.text({"passage"}) + (gpt3 ? "\nquestion: " : "\nQuestion: ") +
                                r.text({"question"}) + (gpt3 ? "?\nanswer:" : "?\nAnswer:");
    out.push_back({r.id({"idx"}, out.size()), choices_of(context, {" no", " yes"}), truth(r)});
  }
  return out;
}

/// The premise runs on: "The man fell because" and then a choice. The harness puts two spaces between them.
Items read_copa(const std::string& path, Protocol protocol) {
  const std::string joint = protocol == Protocol::gpt3 ? " " : "  ";
  Items out;
  for (const Record& r : read_records(path)) {
    const std::string asked = r.text({"question"});
    check(asked == "cause" || asked == "effect", r.where, ": question: expected cause or effect, got \"",
          asked.substr(0, 40), "\"");
    const std::string context =
        without_last_character(strip(r.text({"premise"}))) + (asked == "cause" ? " because" : " therefore");
    out.push_back({r.id({"idx"}, out.size()),
                   choices_of(context, {joint + lower_first(r.text({"choice1"})),
                                        joint + lower_first(r.text({"choice2"}))}),
                   r.answer({"label"}, 0, 1)});
  }
  return out;
}

/// The original: activity_label, ctx_a, ctx_b. Also a form that is cleaned already: query.
Items read_hellaswag(const std::string& path, Protocol) {
  Items out;
  for (const Record& r : read_records(path)) {
    const bool cleaned = r.find({"query"}) != nullptr;
    const std::string context = cleaned
                                    ? r.text({"query"})
                                    : clean_hellaswag(r.text({"activity_label"}) + ": " + r.text({"ctx_a"}) +
                                                      " " + capitalized(r.text({"ctx_b"})));
    const Json& endings = r.at({"endings", "choices"});
    check(endings.is_array() && endings.size() == 4, r.where, ": endings: expected a list of 4");
    ChoiceItem item{.id = r.id({"ind"}, out.size())};
    for (const Json& ending : endings) {
      const std::string text = engine::json_string(ending, r.where + ": endings");
      item.choices.push_back({context, " " + (cleaned ? text : clean_hellaswag(text))});
    }
    item.label = r.answer({"label", "gold"}, 0, 3);
    out.push_back(std::move(item));
  }
  return out;
}

Items read_piqa(const std::string& path, Protocol protocol) {
  Items out;
  for (const Record& r : read_records(path)) {
    const std::string goal = r.text({"goal"});
    out.push_back({std::to_string(out.size()),
                   choices_of(protocol == Protocol::gpt3 ? goal : question_prompt(goal),
                              {" " + r.text({"sol1"}), " " + r.text({"sol2"})}),
                   r.answer({"label"}, 0, 1)});
  }
  if (const std::string labels = labels_file(path); engine::file_exists(labels))
    read_labels(path, labels, out);
  return out;
}

std::string labels_file(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string name =
      file.filename().string();  // up to its endings, of which one may say how it is packed
  return (file.parent_path() / (name.substr(0, name.rfind(".json")) + "-labels.lst")).string();
}

/// The right answer comes last, behind the three distractors.
Items read_sciq(const std::string& path, Protocol) {
  Items out;
  for (const Record& r : read_records(path)) {
    const std::string context =
        std::string(strip_left(r.text({"support"}))) + "\n" + question_prompt(r.text({"question"}));
    std::vector<std::string> choices;
    for (const char* key : {"distractor1", "distractor2", "distractor3", "correct_answer"})
      choices.push_back(" " + r.text({key}));
    out.push_back({std::to_string(out.size()), choices_of(context, choices), 3});
  }
  return out;
}

/// The authors' CSV files, or Hugging Face's copy with its own names for the columns.
Items read_storycloze(const std::string& path, Protocol) {
  Items out;
  for (const Record& r : read_records(path)) {
    std::string context;
    bool first = true;
    for (const Record::Names names : {Record::Names{"InputSentence1", "input_sentence_1"},
                                      {"InputSentence2", "input_sentence_2"},
                                      {"InputSentence3", "input_sentence_3"},
                                      {"InputSentence4", "input_sentence_4"}})
      context += (std::exchange(first, false) ? "" : " ") + r.text(names);
    const int answer = r.answer({"AnswerRightEnding", "answer_right_ending"}, 1, 2);
    out.push_back({r.id({"InputStoryid", "InputStoryId", "story_id"}, out.size()),
                   choices_of(context, {" " + r.text({"RandomFifthSentenceQuiz1", "sentence_quiz1"}),
                                        " " + r.text({"RandomFifthSentenceQuiz2", "sentence_quiz2"})}),
                   answer < 0 ? -1 : answer - 1});
  }
  return out;
}

Items read_winogrande(const std::string& path, Protocol) {
  Items out;
  for (const Record& r : read_records(path)) {
    const std::string sentence = r.text({"sentence"});
    const size_t blank = sentence.find('_');
    check(blank != sentence.npos, r.where, ": no blank (_) in the sentence");
    const std::string rest = " " + std::string(strip(std::string_view(sentence).substr(blank + 1)));
    ChoiceItem item{.id = r.id({"qID"}, out.size())};
    for (const char* option : {"option1", "option2"})
      item.choices.push_back({sentence.substr(0, blank) + r.text({option}), rest});
    const int answer = r.answer({"answer"}, 1, 2);
    item.label = answer < 0 ? -1 : answer - 1;
    out.push_back(std::move(item));
  }
  return out;
}

}  // namespace data
