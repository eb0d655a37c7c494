// Task readers: the published files where they are at hand, small files of the same format for the rest.
#include "data/tasks.h"

#include <catch2/catch.hpp>
#include <map>

#include "data/tasks_glue.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "shared_data.h"
#include "temporary_folder.h"

using namespace data;
using Catch::Matchers::Contains;

namespace {

/// Writes `text` as `name` and reads it as `task`.
struct Files : TemporaryFolder {
  std::string put(const std::string& name, const std::string& text) {
    engine::write_file(*this / name, text);
    return *this / name;
  }
};

std::map<int, int> label_counts(const std::vector<ChoiceItem>& items) {
  std::map<int, int> out;
  for (const auto& item : items) ++out[item.label];
  return out;
}

}  // namespace

TEST_CASE("the published multiple-choice files are read whole") {
  const std::string data = shared_path("data");
  if (data.empty()) return;
  const auto hellaswag = read_choice_task("hellaswag", data + "/hellaswag");
  REQUIRE(hellaswag.size() == 10042);
  CHECK(hellaswag[0].choices[3].context == "Roof shingle removal: A man is sitting on a roof. he");
  CHECK(hellaswag[0].choices[3].continuation == " starts pulling up roofing on a roof.");
  CHECK(hellaswag[0].label == 3);
  CHECK(label_counts(hellaswag).size() == 4);

  const auto piqa = read_choice_task("piqa", data + "/piqa");
  REQUIRE(piqa.size() == 1838);
  CHECK((piqa[0].label == 0 && piqa[1].label == 1));
  CHECK(piqa[1].choices[0].context == "Question: dresser\nAnswer:");

  const auto winogrande = read_choice_task("winogrande", data + "/winogrande");
  REQUIRE(winogrande.size() == 1267);
  CHECK(winogrande[0].choices[0].context == "Sarah was a much better surgeon than Maria so Sarah");
  CHECK(winogrande[0].choices[1].continuation == " always got the easier cases.");
  CHECK(winogrande[0].label == 1);
  CHECK(read_choice_task("winogrande", data + "/winogrande/train_s.jsonl").size() == 640);

  CHECK(read_choice_task("openbookqa", data + "/openbookqa").size() == 500);
  const auto openbookqa = read_choice_task("openbookqa", data + "/openbookqa/dev.jsonl");
  CHECK(openbookqa[1].label == 3);
  CHECK(openbookqa[1].choices[3].continuation == " uses what it needs");

  const auto lambada = read_lambada(data + "/lambada");
  REQUIRE(lambada.size() == 5153);
  CHECK(lambada[0].target == " signs");
  CHECK(lambada[0].context.ends_with("I don't care about"));
}

TEST_CASE("the published GLUE files are read whole") {
  const std::string glue = shared_path("data/glue");
  if (glue.empty()) return;
  const auto read = [&](const std::string& task, const std::string& split) {
    return read_glue(task, glue_file(task, glue, split));
  };
  CHECK(read("cola", "train").size() == 8551);
  CHECK(read("cola", "dev").size() == 1043);
  CHECK(read("sst2", "train").size() == 67349);
  CHECK(read("sst2", "dev").size() == 872);
  CHECK(read("rte", "train").size() == 2490);
  CHECK(read("rte", "dev").size() == 277);
  CHECK(read("qnli", "dev").size() == 5463);
  const auto cola = read("cola", "dev");
  CHECK(cola[0].first == "The sailors rode the breeze clear of the rocks.");
  CHECK(cola[0].label == 1);
  const auto rte = read("rte", "dev");
  CHECK((rte[0].label == 0 && rte[1].label == 1));
  CHECK(rte[0].second == "Christopher Reeve had an accident.");
  CHECK(glue_file("qnli", glue, "train") == "");
}

TEST_CASE("HellaSwag's original form joins its two contexts") {
  Files files;
  const auto items = read_choice_task(
      "hellaswag",
      files.put("a.jsonl", R"({"ind": 4, "activity_label": "Roof", "ctx_a": "A man sits.", "ctx_b": "he", )"
                           R"("endings": ["a", "b", "c", "d"], "label": 2})"));
  CHECK(items[0].choices[2].context == "Roof: A man sits. He");
  CHECK(items[0].id == "4");
}

TEST_CASE("ARC has three to five choices with letters or numbers") {
  Files files;
  const auto items = read_choice_task(
      "arc",
      files.put(
          "a.jsonl",
          R"({"id":"x","question":{"stem":"Why?","choices":[{"text":"p","label":"1"},{"text":"q","label":"2"},)"
          R"({"text":"r","label":"3"}]},"answerKey":"3"})"));
  CHECK(items[0].choices.size() == 3);
  CHECK(items[0].choices[2].context == "Question: Why?\nAnswer:");
  CHECK(items[0].label == 2);
}

TEST_CASE("StoryCloze is CSV with quotes") {
  Files files;
  const std::string header =
      "InputStoryid,InputSentence1,InputSentence2,InputSentence3,InputSentence4,RandomFifthSentenceQuiz1,"
      "RandomFifthSentenceQuiz2,AnswerRightEnding\r\n";
  const auto items = read_choice_task(
      "storycloze",
      files.put("a.csv", header + "1,A.,\"B, he said \"\"x\"\".\",C.,D.,\"E\nE.\",F.,2\r\n2,A,B,C,D,E,F,1"));
  REQUIRE(items.size() == 2);
  CHECK(items[0].choices[0].context == "A. B, he said \"x\". C. D.");
  CHECK(items[0].choices[0].continuation == " E\nE.");
  CHECK((items[0].label == 1 && items[1].label == 0));
  const auto read = [&](const std::string& body) {
    return read_choice_task("storycloze", files.put("a.csv", body));
  };
  CHECK_THROWS_WITH(read(header + "1,\"A"), Contains("never closed"));
  CHECK_THROWS_WITH(read(header + "1,A"), Contains("2 fields"));
  CHECK_THROWS_WITH(read(header + "1,A,B,C,D,E,F,3"), Contains("got \"3\""));
  CHECK_THROWS_WITH(read(header), Contains("no items"));
  CHECK_THROWS_WITH(read("a,b\n"), Contains("no column InputSentence1"));
}

TEST_CASE("every GLUE task is read by its own columns") {
  Files files;
  struct Example {
    std::string task, text, first, second;
    float label;
  };
  const Example examples[] = {
      {"cola", "index\tsentence\n0\tBill whistled.\n", "Bill whistled.", "", -1},
      {"mrpc", "\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tA \"b\tC\r\n", "A \"b",
       "C", 1},
      {"qqp", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tHow?\n1\t2\t3\tWhy?\tWhat?\t0\n",
       "Why?", "What?", 0},
      {"mnli", "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\tP\tH\tneutral\tentailment\n", "P", "H",
       2},
      {"stsb", "index\tsentence1\tsentence2\tscore\n0\tA\tB\t4.750\n", "A", "B", 4.75f},
      {"wnli", "index\tsentence1\tsentence2\tlabel\n0\tA\tB\t1\n", "A", "B", 1},
      {"rte", "index\tsentence1\tsentence2\n0\tA\tB\n", "A", "B", -1}};
  for (const auto& e : examples) {
    CAPTURE(e.task);
    const auto items = read_glue(e.task, files.put("a.tsv", e.text));
    REQUIRE(items.size() == 1);
    CHECK(items[0].first == e.first);
    CHECK(items[0].second == e.second);
    CHECK(items[0].label == e.label);
  }
  CHECK(glue_tasks().size() == 9);
  files.put("dev_mismatched.tsv", "x");
  CHECK(glue_file("mnli", files.path, "dev_mm") == files / "dev_mismatched.tsv");
  CHECK(glue_file("mnli", files.path, "dev") == "");
}

TEST_CASE("task files that are damaged or of another task are named with the line") {
  Files files;
  const auto choice = [&](const std::string& task, const std::string& text) {
    return read_choice_task(task, files.put("a.jsonl", text));
  };
  CHECK_THROWS_WITH(choice("piqa", "{\"goal\": \"x\"}\n"), Contains("a.jsonl:1: no key \"sol1\""));
  CHECK_THROWS_WITH(choice("piqa", ""), Contains("no items"));
  CHECK_THROWS_WITH(choice("piqa", "{\"goal\": \"\xff\"}\n"), Contains("UTF-8"));
  CHECK_THROWS_WITH(choice("hellaswag", R"({"query": "x", "endings": ["a"], "label": 0})"),
                    Contains("list of 4"));
  CHECK_THROWS_WITH(choice("hellaswag", R"({"query": "x", "endings": ["a","b","c","d"], "label": 4})"),
                    Contains("[0, 3]"));
  CHECK_THROWS_WITH(choice("winogrande", R"({"qID": "1", "sentence": "x", "option1": "a", "option2": "b"})"),
                    Contains("no blank"));
  CHECK_THROWS_WITH(choice("arc", R"({"id":"x","question":{"stem":"?","choices":[{"text":"p","label":"A"},)"
                                  R"({"text":"q","label":"B"}]},"answerKey":"C"})"),
                    Contains("none of A or B"));
  CHECK_THROWS_WITH(choice("arc", "[1, 2]"), Contains("no key"));
  CHECK_THROWS_WITH(choice("hellaswog", "{}"), Contains("nearest: hellaswag"));
  CHECK_THROWS_WITH(read_choice_task("piqa", files / "none.jsonl"), Contains("none.jsonl"));
  files.put("p.jsonl", "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n");
  files.put("p-labels.lst", "0\n1\n");
  CHECK_THROWS_WITH(read_choice_task("piqa", files / "p.jsonl"), Contains("more labels than the 1 items"));
  files.put("p-labels.lst", "2\n");
  CHECK_THROWS_WITH(read_choice_task("piqa", files / "p.jsonl"), Contains("expected 0 or 1"));
  CHECK_THROWS_WITH(read_lambada(files.put("l.jsonl", "{\"text\": \"word\"}")), Contains("two words"));

  const auto glue = [&](const std::string& task, const std::string& text) {
    return read_glue(task, files.put("a.tsv", text));
  };
  CHECK_THROWS_WITH(glue("rte", ""), Contains("empty"));
  CHECK_THROWS_WITH(glue("rte", "sentence\tlabel\nx\t1\n"), Contains("no column \"sentence1\""));
  CHECK_THROWS_WITH(glue("sst2", "sentence\tlabel\nx\n"), Contains("a.tsv:2: 1 fields"));
  CHECK_THROWS_WITH(glue("sst2", "sentence\tlabel\nx\t2\n"), Contains("\"2\" is not 0 or 1"));
  CHECK_THROWS_WITH(glue("stsb", "sentence1\tsentence2\tscore\na\tb\tnan\n"), Contains("0 to 5"));
  CHECK_THROWS_WITH(glue_task("sst"), Contains("nearest: sst2"));
}
