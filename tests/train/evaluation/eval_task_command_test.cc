// `normlab eval TASK` on the command line: JSON, lines for documents, stops, and the message for each
// mistake.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "data/train_tokenizer.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "models/init.h"
#include "models/model_files.h"
#include "run_program.h"
#include "temporary_folder.h"

using Catch::Matchers::Contains;
using engine::Json;

namespace {

struct Files : TemporaryFolder {
  /// A tiny model with a byte tokenizer; `overrides` change its config.
  std::string model(const std::string& name, const Json& overrides = Json::object()) {
    Json section = {{"objective", "clm"},    {"vocab_size", 258}, {"context", 48},
                    {"layers", 1},           {"width", 16},       {"heads", 2},
                    {"ffn_width", 32},       {"norms", "pre_ln"}, {"activation", "gelu"},
                    {"positions", "learned"}};
    section.update(overrides);
    models::Transformer model(models::model_config_from_section(section, "test"),
                              nn::Precision::of(engine::DType::f32), nn::Gradients::none);
    models::initialise(model, "", 3);
    models::save_model(model, *this / name);
    data::train_tokenizer({}, {.kind = data::TokenizerKind::byte, .special = {"<s>", "</s>"}})
        ->save(*this / name);
    return *this / name;
  }
  std::string put(const std::string& name, const std::string& text) {
    engine::write_file(*this / name, text);
    return *this / name;
  }
  std::string piqa(const std::string& name, int documents, bool answers = true) {
    std::string text, labels;
    for (int i = 0; i < documents; ++i) {
      text += Json({{"goal", "g" + std::to_string(i)},
                    {"sol1", "one"},
                    {"sol2", std::string(size_t(i % 5) + 1, 'x')}})
                  .dump() +
              "\n";
      labels += std::to_string(i % 2) + "\n";
    }
    put(name + ".jsonl", text);
    if (answers) put(name + "-labels.lst", labels);
    return *this / (name + ".jsonl");
  }
};

/// OpenBookQA with three choices of different lengths, no two of a kind.
std::string openbookqa_rows(int documents, const std::string& stem) {
  std::string text;
  for (int i = 0; i < documents; ++i) {
    Json choices = Json::array();
    for (int c = 0; c < 3; ++c)
      choices.push_back({{"label", std::string(1, char('A' + c))},
                         {"text", std::string(size_t((i + c) % 3) + 1, char('a' + (i + 5 * c) % 26))}});
    text += Json({{"id", std::to_string(i)},
                  {"question", {{"stem", stem}, {"choices", choices}}},
                  {"answerKey", "B"}})
                .dump() +
            "\n";
  }
  return text;
}

Json json_of(const ProgramEnd& out) {
  INFO(out.output);
  REQUIRE(out.code == 0);
  return engine::parse_json(out.output, "stdout");
}

}  // namespace

TEST_CASE("eval TASK gives one JSON object and a line for each document") {
  Files files;
  const std::string model = files.model("m"), data = files.piqa("valid", 7);
  const std::string common = " --model " + model + " --data " + data + " --json";
  const Json all = json_of(run_normlab("eval piqa" + common + " --out " + (files / "lines.jsonl")));
  CHECK(all["command"] == "eval piqa");
  for (const char* key : {"version", "model", "data", "precision", "seconds"}) CHECK(all.contains(key));
  const Json& result = all["results"][0];
  CHECK(result["documents"] == 7);
  CHECK(result["answered"] == 7);
  CHECK(result["headline"] == "acc_norm");
  CHECK(result["chance"] == 0.5);
  CHECK(result["metrics"].begin().key() == "acc_norm");
  std::istringstream lines(engine::read_file(files / "lines.jsonl"));
  int right = 0, count = 0;
  for (std::string text; std::getline(lines, text); ++count) {
    const Json line = engine::parse_json(text, "line");
    CHECK(line["requests"][0][0] == "Question: g" + std::to_string(count) + "\nAnswer:");
    CHECK(line["tokens"][0] == Json({20, 4}));
    CHECK(line["gold"] == count % 2);
    CHECK(line["pred"]["acc"] == int(line["ll"][1].get<double>() > line["ll"][0].get<double>()));
    right += line["pred"]["acc"] == line["gold"];
  }
  CHECK(count == 7);
  CHECK(result["metrics"]["acc"].get<double>() == Approx(right / 7.0));

  const Json limited = json_of(run_normlab("eval piqa --limit 3 --batch 1 --threads 1" + common));
  CHECK(limited["results"][0]["documents"] == 3);
  const Json gpt3 = json_of(run_normlab("eval piqa --protocol gpt3" + common));
  CHECK(gpt3["results"][0]["headline"] == "acc_token");
  const Json cut = json_of(run_normlab("eval piqa --context 8" + common));
  CHECK(cut["results"][0]["context"] == 8);
  CHECK(cut["results"][0]["cut"] == 14);
  CHECK_THAT(run_normlab("eval piqa --model " + model + " --data " + data).output,
             Contains("piqa         lm-eval, 7 documents, context 48") && Contains("acc_norm     0."));
}

TEST_CASE("a choice is compared with itself behind the neutral context") {
  Files files;
  const std::string model = files.model("m"), out = files / "lines.jsonl";
  // Here the two contexts are one, so nothing tells the choices apart: the first of them is taken.
  const std::string command =
      "eval openbookqa --batch 1 --threads 1 --json --model " + model + " --out " + out;
  const auto lines_of = [&](const std::string& stem) {
    const Json result =
        json_of(run_normlab(command + " --data " + files.put("rows.jsonl", openbookqa_rows(9, stem))));
    CHECK(result["results"][0]["metrics"].contains("acc_pmi"));
    std::vector<Json> lines;
    std::istringstream in(engine::read_file(out));
    for (std::string text; std::getline(in, text);) lines.push_back(engine::parse_json(text, "line"));
    REQUIRE(lines.size() == 9);
    return lines;
  };
  int elsewhere = 0;
  for (const Json& line : lines_of("Answer:")) {
    CHECK(line["pred"]["acc_pmi"] == 0);
    elsewhere += line["pred"]["acc"] != 0;
  }
  CHECK(elsewhere > 0);
  elsewhere = 0;
  for (const Json& line : lines_of("The sky is")) elsewhere += line["pred"]["acc_pmi"] != 0;
  CHECK(elsewhere > 0);
}

TEST_CASE("one document has no standard error, and documents without answers are predicted only") {
  Files files;
  const std::string model = files.model("m");
  const Json one =
      json_of(run_normlab("eval piqa --json --limit 1 --model " + model + " --data " + files.piqa("a", 2)));
  CHECK(one["results"][0]["metrics"]["acc_stderr"].is_null());
  const std::string unanswered = "eval piqa --json --model " + model + " --data " + files.piqa("b", 3, false);
  const ProgramEnd refused = run_normlab(unanswered);
  CHECK(refused.code == 2);
  CHECK_THAT(refused.output, Contains("no document has an answer"));
  const Json kept = json_of(run_normlab(unanswered + " --out " + (files / "b.out")));
  CHECK(kept["results"][0]["answered"] == 0);
  CHECK(kept["results"][0]["metrics"].empty());
  CHECK(kept["results"][0]["chance"].is_null());
  CHECK_THAT(engine::read_file(files / "b.out"), Contains("\"gold\":null"));
}

TEST_CASE("a result is printed though --out cannot be written") {
  Files files;
  const std::string lines = files / "lines.jsonl", command = "eval piqa --model " + files.model("m") +
                                                             " --data " + files.piqa("valid", 20) +
                                                             " --out " + lines;
  for (const char* form : {"", " --json"}) {
    const ProgramEnd out = run_normlab(command + form, "ulimit -f 2;");
    INFO(out.output);
    CHECK(out.code == 2);
    CHECK_THAT(out.output, Contains("acc_norm"));
    CHECK_THAT(out.last_line(), Contains("lines.jsonl: cannot write"));
    CHECK(!std::filesystem::exists(lines));
  }
}

TEST_CASE("a model without numbers is refused before it makes a choice") {
  Files files;
  const std::string folder = files.model("m");
  const auto model = models::load_model(folder, nn::Precision::of(engine::DType::f32));
  model->parameters().values().fill(NAN);
  models::save_model(*model, folder);
  const ProgramEnd out = run_normlab("eval piqa --json --model " + folder + " --data " + files.piqa("a", 2));
  CHECK(out.code == 2);
  CHECK_THAT(out.output, Contains("embed.tokens.weight") && Contains("not finite"));
}

TEST_CASE("a model whose numbers overflow makes no choice and no number") {
  Files files;
  const std::string folder = files.model("m");
  const auto model = models::load_model(folder, nn::Precision::of(engine::DType::f32));
  model->parameters().values().fill(1e38);  // finite, but products of them are not
  models::save_model(*model, folder);
  const std::string common = " --json --model " + folder + " --data ";
  const Json result = json_of(run_normlab("eval piqa" + common + files.piqa("a", 2)))["results"][0];
  CHECK(result["metrics"]["acc"] == 0);
  // Nor where a choice is empty, whose likelihood for each of its bytes would be the least.
  const std::string empty = files.put("h.jsonl", R"({"query":"x y","endings":["a","b","","d"],"label":2})");
  CHECK(json_of(run_normlab("eval hellaswag" + common + empty))["results"][0]["metrics"]["acc_norm"] == 0);
  const std::string passages = files.put("l.jsonl", "{\"text\": \"a b c\"}\n{\"text\": \"d e f\"}\n");
  const Json lambada = json_of(run_normlab("eval lambada" + common + passages))["results"][0];
  CHECK(lambada["metrics"]["perplexity"].is_null());
  CHECK(lambada["metrics"]["perplexity_stderr"].is_null());
  CHECK(lambada["metrics"]["acc"] == 0);
}

TEST_CASE("each mistake of eval TASK has its line") {
  Files files;
  const std::string model = files.model("m"), data = files.piqa("valid", 2);
  const auto refused = [&](const std::string& arguments, const std::string& message) {
    const ProgramEnd out = run_normlab("eval " + arguments);
    INFO(arguments << "\n" << out.output);
    CHECK(out.code == 2);
    CHECK(std::count(out.output.begin(), out.output.end(), '\n') == 1);
    CHECK_THAT(out.output, Contains(message));
  };
  const std::string with = " --model " + model + " --data ";
  refused("piqaa" + with + data, "nearest: piqa");
  refused("piqa" + with + data + " --context 49",
          "--context 49 is more than the model's 48 learned positions");
  refused("piqa" + with + data + " --protocol gpt2", "is not lm-eval or gpt3");
  refused("piqa" + with + data + " --batch 0", "--batch");
  refused("piqa" + with + data + " --variant easy", "unknown flag --variant");
  refused("piqa" + with + (files / "absent.jsonl"), "absent.jsonl");
  refused("arc" + with + files.path, "variant");
  refused("piqa --model " + files.model("mlm", {{"objective", "mlm"}}) + " --data " + data, "no causal one");
  std::filesystem::remove(files.model("bare") + "/tokenizer.json");
  refused("piqa --model " + (files / "bare") + " --data " + data, "no tokenizer");
  refused("piqa" + with + files.put("cut.jsonl", "{\"goal\": \"a\", \"sol1\": \"b\", \"so"), "cut.jsonl:1");
  refused("winogrande" + with + data, "valid.jsonl:1");
  refused("lambada" + with + files.put("word.jsonl", "{\"text\": \"word\"}\n"), "word.jsonl:1");
  const std::string context = "{\"text\": \"" + std::string(20, 'a') + " " + std::string(60, 'b') + "\"}\n";
  refused("lambada" + with + files.put("long.jsonl", context),
          "long.jsonl: document 1: a continuation has 61 tokens; a context of 48 takes at most as many");
  refused("piqa" + with + data + " --out " + files.path + "/no/such/folder/x", "no/such/folder");
  refused("piqa" + with + data + " --device cuda", "device cuda: ");
  for (const std::string& kept :
       {data, files / "valid-labels.lst", model + "/config.json", model + "/tokenizer.json"}) {
    const std::string before = engine::read_file(kept);
    refused("piqa" + with + data + " --out " + kept, "--out " + kept + ": ");
    CHECK(engine::read_file(kept) == before);
  }
  refused("piqa" + with + data + " --out -", "a file is wanted");
  refused("piqa" + with + data + " --out /dev/full", "--out /dev/full: not a regular file");
}

TEST_CASE("Ctrl-C ends eval TASK with 130, and --out has what was scored", "[medium]") {
  Files files;
  const std::string task = GENERATE("piqa", "openbookqa");  // the second has neutral requests, too
  const std::string model = files.model("m", {{"layers", 4}, {"width", 64}}),
                    data = task == "piqa" ? files.piqa("many", 20'000)
                                          : files.put("test.jsonl", openbookqa_rows(20'000, "The sky is"));
  const std::string out = files / "lines.jsonl";
  int documents = 0, scored = 0;
  // The signal has to come after the first documents and before the end: the wait grows until it does.
  for (int wait = 300; scored == 0 && wait < 20'000; wait = wait * 3 / 2) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::freopen("/dev/null", "w", stdout);
      ::freopen("/dev/null", "w", stderr);
      ::execl(BINARY_DIR "/normlab", "normlab", "eval", task.c_str(), "--threads", "1", "--model",
              model.c_str(), "--data", data.c_str(), "--out", out.c_str(), nullptr);
      ::_exit(127);
    }
    ::usleep(useconds_t(wait) * 1000);
    ::kill(child, SIGINT);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFEXITED(status)) continue;  // before there was anything to keep
    INFO("after " << wait << " ms: exit code " << WEXITSTATUS(status));
    REQUIRE(WEXITSTATUS(status) == 130);
    std::istringstream lines(engine::read_file(out));
    documents = 0;
    for (std::string text; std::getline(lines, text); ++documents)
      scored += !engine::parse_json(text, "line")["ll"].empty();
  }
  CHECK(scored > 0);
  CHECK(scored < 20'000);
  CHECK(documents >= scored);
}
