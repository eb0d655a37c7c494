// Fuzzing the task readers: the first byte chooses the task, the others are its file.
#include "data/tasks.h"
#include "data/tasks_glue.h"
#include "fuzz.h"

namespace {

struct TaskFile {
  std::string name, text;
};

const TaskFile kExamples[] = {
    {"arc", R"({"id":"x","question":{"stem":"Why?","choices":[{"text":"p","label":"A"},)"
            R"({"text":"q","label":"B"}]},"answerKey":"B"})"},
    {"boolq", R"({"passage":"Salt dissolves.","question":"is it so","answer":true})"},
    {"copa", R"({"premise":"It fell.","choice1":"A","choice2":"B","question":"effect","label":0,"idx":0})"},
    {"hellaswag", R"({"ind":4,"activity_label":"Roof","ctx_a":"A man.","ctx_b":"he","endings":["a","b","c",)"
                  R"("d"],"label":2})"},
    {"hellaswag", R"({"query":"x","endings":["a","b","c","d"],"label":0})"},
    {"openbookqa", R"({"id":"7","question":{"stem":"The sun","choices":[{"text":"p","label":"A"},)"
                   R"({"text":"q","label":"B"}]},"answerKey":"A"})"},
    {"piqa", R"({"goal":"g","sol1":"a","sol2":"b"})"},
    {"sciq", R"([{"question":"q","distractor1":"a","distractor2":"b","distractor3":"c","correct_answer":"d",)"
             R"("support":"s"}])"},
    {"storycloze",
     "InputStoryid,InputSentence1,InputSentence2,InputSentence3,InputSentence4,"
     "RandomFifthSentenceQuiz1,RandomFifthSentenceQuiz2,AnswerRightEnding\r\n"
     "1,A.,\"B \"\"x\"\".\",C.,D.,\"E\nE.\",F.,2\r\n"},
    {"winogrande", R"({"qID":"1","sentence":"a _ b","option1":"x","option2":"y","answer":"1"})"},
    {"cola", "gj04\t0\t*\tThey drank.\n"},
    {"mnli", "index\tsentence1\tsentence2\tgold_label\n0\tP\tH\tneutral\n"},
    {"mrpc", "\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tA\tC\r\n"},
    {"qnli", "index\tquestion\tsentence\tlabel\n0\tQ\tS\tentailment\n"},
    {"qqp", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tWhy?\tWhat?\t0\n"},
    {"rte", "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tnot_entailment\n"},
    {"sst2", "sentence\tlabel\nfine \t1\n"},
    {"stsb", "index\tsentence1\tsentence2\tscore\n0\tA\tB\t4.750\n"},
    {"wnli", "index\tsentence1\tsentence2\tlabel\n0\tA\tB\t1\n"},
    {"lambada", R"({"text":"He knew the signs"})"}};

/// Multiple choice, then GLUE, then LAMBADA.
const std::vector<std::string>& names() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> out;
    for (const auto& task : data::choice_tasks()) out.push_back(task.name);
    for (const auto& task : data::glue_tasks()) out.push_back(task.name);
    out.push_back("lambada");
    return out;
  }();
  return all;
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  std::vector<std::string> out;
  for (const TaskFile& example : kExamples)
    for (size_t i = 0; i < names().size(); ++i)
      if (names()[i] == example.name) out.push_back(char(i) + example.text);
  return out;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size == 0) return 0;
  const size_t which = bytes[0] % names().size(), choices = data::choice_tasks().size();
  const std::string path = input_file(input_text(bytes + 1, size - 1), "input");
  return fuzz_one([&] {
    if (which < choices) {
      for (const auto& item : data::read_choice_task(names()[which], path))
        require(item.label >= -1 && item.label < int(item.choices.size()));
    } else if (which + 1 < names().size()) {
      data::read_glue(names()[which], path);
    } else {
      data::read_lambada(path);
    }
  });
}
