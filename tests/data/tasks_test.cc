// Task readers: the published files where they are at hand, small files of the same format for the rest.
#include "data/tasks.h"

#include <catch2/catch.hpp>
#include <map>

#include "data/tasks_glue.h"
#include "data/text_case.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
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

TEST_CASE("requests are those of lm-evaluation-harness, byte for byte") {
  const std::string reference = shared_path("reference/zeroshot"), published = shared_path("data");
  if (reference.empty() || published.empty()) return;
  const engine::Json expected = engine::read_json(reference + "/requests.json");
  const std::string own = reference + "/own_rows/";
  const std::map<std::string, std::string> own_files = {{"hellaswag_raw", "hellaswag_raw.jsonl"},
                                                        {"piqa", "piqa.jsonl"},
                                                        {"winogrande", "winogrande.jsonl"},
                                                        {"arc", "arc.jsonl"},
                                                        {"boolq", "boolq.jsonl"},
                                                        {"copa", "copa.jsonl"},
                                                        {"sciq", "sciq.json"},
                                                        {"storycloze", "storycloze.csv"},
                                                        {"lambada", "lambada.jsonl"}};
  size_t compared = 0;
  for (const auto& [key, documents] : expected.items()) {
    CAPTURE(key);
    const bool is_own = key.starts_with("own/");
    const std::string name = is_own ? key.substr(4) : key;
    const std::string task = name == "hellaswag_raw" ? "hellaswag" : name;
    const std::string path = is_own ? own + own_files.at(name) : published + "/" + name;
    engine::Json got = engine::Json::array();
    if (task == "lambada") {
      for (const auto& item : read_lambada(path))
        got.push_back({{"requests", engine::Json::array({engine::Json::array({item.context, item.target})})},
                       {"gold", nullptr}});
    } else {
      for (const auto& item : read_choice_task(task, path)) {
        engine::Json requests = engine::Json::array();
        for (const Choice& choice : item.choices)
          requests.push_back(engine::Json::array({choice.context, choice.continuation}));
        got.push_back({{"requests", requests}, {"gold", item.label}});
      }
    }
    REQUIRE(got.size() >= documents.size());
    for (size_t i = 0; i < documents.size(); ++i, ++compared) CHECK(got[i] == documents[i]);
  }
  CHECK(compared == 534);
}

TEST_CASE("capitals, lower case and white space are Python's") {
  CHECK(capitalized("she asks NASA") == "She asks nasa");
  CHECK(capitalized("ßIGN") == "Ssign");
  CHECK(capitalized("ﬁRST") == "First");
  CHECK(capitalized("ǆ") == "ǅ");
  CHECK(capitalized("ΟΔΥΣΣΕΥΣ ΣΣ. Σ") == "Οδυσσευς σς. σ");
  CHECK(capitalized("İİ") == "İi\xcc\x87");
  CHECK(capitalized("") == "");
  CHECK(lower_first("It BROKE") == "it BROKE");
  CHECK(lower_first("") == "");
  CHECK(strip("\xc2\xa0\x1c x\xe3\x80\x80\n\xc2\x85") == "x");
  CHECK(strip_left(" x ") == "x ");
  CHECK(strip_right(" x ") == " x");
  CHECK(strip("\xe2\x80\x8bx") == "\xe2\x80\x8bx");  // a zero width space is no white space
}

TEST_CASE("HellaSwag's raw texts lose their brackets as in the harness") {
  Files files;
  const auto context = [&](const std::string& activity, const std::string& first, const std::string& second) {
    const engine::Json row = {{"activity_label", activity},
                              {"ctx_a", first},
                              {"ctx_b", second},
                              {"endings", {"[step]", "a [title] b", "x    y", " z"}}};
    return read_choice_task("hellaswag", files.put("a.jsonl", row.dump()))[0];
  };
  const ChoiceItem item =
      context("Home", "[header] Boil an egg [title] Fill a pot. [step] Use [cold\nor", "wARM] water");
  CHECK(item.choices[0].context == "Home: Boil an egg. Fill a pot. Use [cold\nor Warm] water");
  CHECK(item.choices[0].continuation == " ");  // an empty choice is legal
  CHECK(choice_length(item.choices[0]) == 0);
  CHECK(item.choices[1].continuation == " a. b");
  CHECK(item.choices[2].continuation == " x  y");  // one pass over pairs of spaces
  CHECK(item.choices[3].continuation == " z");
  CHECK(item.label == -1);
  CHECK(context("[a]b", "[c", "]").choices[0].context == "b: ");
  CHECK(context("[[", "[x [y\n[z]", "[").choices[0].context == "[[: [x [y\n [");
  const std::string open(1'000'000, '[');  // in the time of one reading, not of one for each bracket
  CHECK(context("a", open, "").choices[0].context.size() == open.size() + 3);
}

TEST_CASE("Hugging Face's copies of the tasks are read") {
  Files files;
  const auto read = [&](const std::string& task, const std::string& text) {
    return read_choice_task(task, files.put("copy.jsonl", text));
  };
  for (const char* label : {"2", "\"2\"", "2.0"}) {
    const auto items =
        read("hellaswag", std::string(R"({"query":"q","endings":["a","b","c","d"],"label":)") + label + "}");
    CHECK(items[0].label == 2);
    CHECK(items[0].id == "0");
  }
  for (const char* none : {"-1", "null", "\"\"", "\"-1\""}) {
    CAPTURE(none);
    CHECK(read("piqa", std::string(R"({"goal":"g","sol1":"a","sol2":"b","label":)") + none + "}")[0].label ==
          -1);
  }
  CHECK(read("piqa", R"({"goal":"g","sol1":"a","sol2":"b","label":1})")[0].label == 1);
  files.put("copy-labels.lst", "0\n");
  CHECK_THROWS_WITH(read("piqa", R"({"goal":"g","sol1":"a","sol2":"b","label":1})"),
                    Contains("itself says 1"));
  const auto sun =
      read("openbookqa", R"({"id":"7","question_stem":"The sun is","choices":{"text":["star","rock"],)"
                         R"("label":["A","B"]},"answerKey":"B"})");
  CHECK((sun[0].choices[0].context == "The sun is" && sun[0].choices[0].continuation == " star" &&
         sun[0].label == 1));
  const auto arc =
      read("arc", R"({"id":"7","question":"Why?","choices":{"text":["p","q","r"],"label":["1","2","3"]},)"
                  R"("answerKey":"3"})");
  CHECK((arc[0].choices[2].context == "Question: Why?\nAnswer:" && arc[0].label == 2));
  CHECK(read("winogrande", R"({"sentence":"A _ x","option1":"a","option2":"b","answer":""})")[0].label == -1);
  CHECK(read("boolq", R"({"question":"q","passage":"p","idx":5,"label":true})")[0].label == 1);
  CHECK(read("boolq", R"({"question":"q","passage":"p","answer":"False"})")[0].label == 0);
  CHECK(read("boolq", R"({"question":"q","passage":"p"})")[0].label == -1);
  const auto story = read("storycloze",
                          "story_id,input_sentence_1,input_sentence_2,input_sentence_3,input_sentence_4,"
                          "sentence_quiz1,sentence_quiz2,answer_right_ending\ns,A.,B.,C.,D.,E.,F.,2\n\n");
  CHECK((story.size() == 1 && story[0].label == 1 && story[0].choices[1].continuation == " F."));
  // A JSON array in place of lines, and what json.dumps writes beyond JSON.
  const auto array = read("piqa",
                          "\xef\xbb\xbf[\n"
                          R"({"goal":"g\ud83d","sol1":"a","sol2":"b","score":NaN})"
                          "\n]");
  CHECK((array.size() == 1 && array[0].choices[0].context == "Question: g\xef\xbf\xbd\nAnswer:"));
}

TEST_CASE("GPT-3's prompts differ in piqa, boolq and copa") {
  Files files;
  const auto read = [&](const std::string& task, const std::string& text) {
    return read_choice_task(task, files.put("g.jsonl", text), {.protocol = Protocol::gpt3})[0].choices[1];
  };
  CHECK(read("piqa", R"({"goal":"g","sol1":"a","sol2":"b"})").context == "g");
  CHECK(read("boolq", R"({"question":"q","passage":"p"})").context == "p\nquestion: q?\nanswer:");
  const Choice copa =
      read("copa", R"({"premise":" It fell. ","choice1":"A","choice2":"It BROKE.","question":"cause"})");
  CHECK((copa.context == "It fell because" && copa.continuation == " it BROKE."));
  CHECK(choice_task("winogrande").gpt3_rule == "acc");
}

TEST_CASE("of a folder the split that is scored is read, and no other") {
  Files files;
  files.put("dev.jsonl", "x");
  CHECK(task_file("winogrande", files.path) == files / "dev.jsonl");
  CHECK_THROWS_WITH(task_file("openbookqa", files.path), Contains("expected test.jsonl"));
  CHECK_THROWS_WITH(task_file("arc", files.path), Contains("easy or challenge"));
  CHECK_THROWS_WITH(task_file("piqa", files.path, "easy"), Contains("no variants"));
  files.put("ARC-Easy-Test.jsonl", "x");
  CHECK(task_file("arc", files.path, "easy") == files / "ARC-Easy-Test.jsonl");
  CHECK_THROWS_WITH(task_file("arc", files.path, "challenge"), Contains("ARC-Challenge-Test.jsonl"));
  CHECK(task_file("arc", files / "dev.jsonl") == files / "dev.jsonl");
}

TEST_CASE("LAMBADA's target begins at the last space") {
  Files files;
  const auto read = [&](const std::string& name, const std::string& text) {
    return read_lambada(files.put(name, text))[0];
  };
  CHECK(read("a.jsonl", R"({"text": "one two\nthree"})").target == " two\nthree");
  CHECK(read("a.jsonl", R"({"text": " alone"})").context == "");
  CHECK(read("a.txt", "the old clock stopped \n").target == " stopped");
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
  engine::Json many = {{"id", "x"}, {"question", "Why?"}, {"answerKey", "Z"}};
  for (int i = 0; i < 27; ++i) {
    many["choices"]["text"].push_back("t");
    many["choices"]["label"].push_back(std::to_string(i));
  }
  CHECK_THROWS_WITH(read_choice_task("arc", files.put("a.jsonl", many.dump())),
                    Contains("a list of 2 to 26, got 27"));
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
  CHECK(read(header + "1,,B.,C.,D.,E,F,1")[0].choices[0].context ==
        " B. C. D.");  // four are joined, also an empty one
  CHECK_THROWS_WITH(read(header + "1,\"A"), Contains("never closed"));
  CHECK_THROWS_WITH(read(header + "1,A"), Contains("2 fields"));
  CHECK_THROWS_WITH(read(header + "1,A,B,C,D,E,F,3"), Contains("got \"3\""));
  CHECK_THROWS_WITH(read(header), Contains("no items"));
  CHECK_THROWS_WITH(read("a,b\n1,2\n"), Contains("no key \"InputSentence1\""));
  CHECK_THROWS_WITH(read("a,b,a\n1,2,3\n"), Contains("column \"a\" appears twice"));
}

TEST_CASE("every GLUE task is read by its own columns") {
  Files files;
  struct Example {
    std::string task, text, first, second;
    double label;
  };
  const Example examples[] = {
      {"cola", "index\tsentence\n0\tBill whistled.\n", "Bill whistled.", "", -1},
      {"mrpc", "\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tA \"b\tC\r\n", "A \"b",
       "C", 1},
      {"qqp", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tHow?\n1\t2\t3\tWhy?\tWhat?\t0\n",
       "Why?", "What?", 0},
      {"mnli", "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\tP\tH\tneutral\tentailment\n", "P", "H",
       2},
      {"stsb", "index\tsentence1\tsentence2\tscore\n0\tA\tB\t4.750\n", "A", "B", 4.75},
      {"wnli", "index\tsentence1\tsentence2\tlabel\r\n\r\n0\tA\tB\t1\r\n\r\n", "A", "B", 1},
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

TEST_CASE("Hugging Face's GLUE is read as JSON Lines, its numbers as its own classes") {
  Files files;
  const auto read = [&](const std::string& task, const std::string& text) {
    return read_glue(task, files.put("a.jsonl", text))[0];
  };
  CHECK(read("mnli", R"({"premise":"p","hypothesis":"h","label":0,"idx":0})").label == 2);  // entailment
  CHECK(read("mnli", R"({"premise":"p","hypothesis":"h","label":2})").label == 0);
  CHECK(read("mnli", R"({"sentence1":"p","sentence2":"h","gold_label":"neutral"})").label == 1);
  CHECK(read("mnli", R"({"premise":"p","hypothesis":"h","label":-1})").label == -1);
  CHECK(read("rte", R"({"sentence1":"p","sentence2":"h","label":0})").label == 1);
  CHECK(read("rte", R"({"premise":"p","hypothesis":"h","label":"not_entailment"})").label == 0);
  CHECK(read("qnli", R"({"question":"q","sentence":"s","label":1})").label == 0);
  CHECK(read("sst2", R"({"sentence":"fine ","label":1})").first == "fine ");
  CHECK(read("mrpc", R"({"sentence1":"p","sentence2":"h","label":1})").second == "h");
  CHECK(read("stsb", R"({"sentence1":"p","sentence2":"h","label":3.8})").label == 3.8);
  CHECK(read("wnli", R"({"sentence1":"p","sentence2":"h"})").label == -1);
  CHECK_THROWS_WITH(read("rte", R"({"sentence1":"p","sentence2":"h","label":2})"), Contains("[0, 1]"));
  CHECK_THROWS_WITH(read("rte", R"({"sentence1":"p","label":1})"), Contains("no key \"sentence2\""));
  // A list of all rows may be one line, however long, and a mark may stand before it.
  const std::string text(17 << 20, 'x');
  CHECK(read("sst2", "\xef\xbb\xbf\n[{\"sentence\":\"" + text + "\",\"label\":1}]").first.size() ==
        text.size());
  CHECK(glue_file("mnli", files.path, "dev_mm") == "");
  files.put("validation_mismatched.jsonl", "x");
  CHECK(glue_file("mnli", files.path, "dev_mm") == files / "validation_mismatched.jsonl");
}

TEST_CASE("rows to answer keep their numbers, whatever their labels say, and none is left out") {
  Files files;
  const auto read = [&](const std::string& task, const std::string& text, GlueLabels labels) {
    return read_glue(task, files.put("a.tsv", text), labels);
  };
  const std::string rows = "index\tsentence1\tsentence2\tlabel\n7\ta\tb\t-1\n5\tc\td\t?\n";
  const auto items = read("rte", rows, GlueLabels::ignored);
  REQUIRE(items.size() == 2);
  CHECK(items[0].index == "7");
  CHECK(items[1].index == "5");
  CHECK(items[1].label == -1);
  CHECK_THROWS_WITH(read("rte", rows, GlueLabels::wanted), Contains("\"-1\" is not"));
  const std::string qqp = "id\tquestion1\tquestion2\tis_duplicate\n0\ta\tb\t1\n1\tc\n2\td\te\t0\n";
  CHECK(read("qqp", qqp, GlueLabels::wanted).size() == 2);
  CHECK_THROWS_WITH(read("qqp", qqp, GlueLabels::ignored), Contains("a.tsv:3: 2 fields"));
  const auto json =
      read_glue("rte", files.put("a.jsonl", R"({"sentence1":"p","sentence2":"h","label":-1,"idx":9})"),
                GlueLabels::ignored);
  CHECK(json[0].index == "9");
}

TEST_CASE("rows of MNLI without a majority are left out") {
  Files files;
  const auto items =
      read_glue("mnli", files.put("a.tsv", "sentence1\tsentence2\tgold_label\na\tb\t-\nc\td\tneutral\n"));
  REQUIRE(items.size() == 1);
  CHECK(items[0].first == "c");
  CHECK_THROWS_WITH(read_glue("rte", files.put("a.tsv", "sentence1\tsentence2\tlabel\na\tb\tmaybe\n")),
                    Contains("\"maybe\" is not"));
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
  CHECK_THROWS_WITH(choice("arc", R"({"question":"?","choices":{"text":["p","q"],"label":["A","A"]},)"
                                  R"("answerKey":"A"})"),
                    Contains("\"A\" is the label of more than one choice"));
  CHECK_THROWS_WITH(choice("arc", "[1, 2]"), Contains("no key"));
  CHECK_THROWS_WITH(choice("hellaswog", "{}"), Contains("nearest: hellaswag"));
  CHECK_THROWS_WITH(read_choice_task("piqa", files / "none.jsonl"), Contains("none.jsonl"));
  files.put("p.jsonl", "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n");
  files.put("p-labels.lst", "0\n1\n");
  CHECK_THROWS_WITH(read_choice_task("piqa", files / "p.jsonl"), Contains("more labels than the 1 items"));
  files.put("p-labels.lst", "2\n");
  CHECK_THROWS_WITH(read_choice_task("piqa", files / "p.jsonl"), Contains("expected 0 or 1"));
  CHECK_THROWS_WITH(read_lambada(files.put("l.jsonl", "{\"text\": \"word\"}")),
                    Contains("a space before its last word"));

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
