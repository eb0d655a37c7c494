// `normlab finetune` on the command line: a sweep and what it shows, going on after stops, processes,
// submission files, and the message for each mistake.
#include <catch2/catch.hpp>
#include <filesystem>

#include "glue_files.h"
#include "models/classifier.h"
#include "run_in_pieces.h"
#include "train/finetune/sweep.h"
#include "train/metrics.h"

using namespace train;
using Catch::Matchers::Contains;

TEST_CASE("a sweep tells its best rate, keeps its best model and answers the test rows") {
  GlueFiles files;
  files.put("cola/test.tsv", "index\tsentence\n0\tax\n1\tbx\n2\tb\n");
  const std::string common =
      "--lr 1e-6,0.02 --seeds 1,2 --batch 8 --epochs 12 --set dropout.residual=0 "
      "--set dropout.attention=0 --json";
  const Json result =
      json_of(run_normlab(files.command("cola", "a", common + " --predict " + (files / "a.tsv"))));
  CHECK(result["command"] == "finetune");
  for (const char* key : {"version", "model", "data", "precision", "device", "seconds"})
    CHECK(result.contains(key));
  CHECK(result["select"] == "matthews");
  CHECK(result["epoch_by"] == "accuracy");
  REQUIRE(result["results"].size() == 4);
  const Json& last = result["results"][3];
  CHECK(last["lr"] == 0.02);
  CHECK(last["seed"] == 2);
  CHECK(last["status"] == "done");
  CHECK(last["updates"] == 60);
  CHECK(last["dev"]["rows"] == 12);
  for (const char* key : {"loss", "accuracy", "matthews"}) CHECK(last["dev"][key].is_number());
  CHECK(last["value"] == last["dev"]["matthews"]);
  CHECK(last["epoch"].get<double>() >= 1);
  CHECK(result["best_lr"] == 0.02);
  CHECK(result["at_best_lr"]["n"] == 2);
  CHECK(result["at_best_lr"]["mean"].get<double>() > 0.9);  // the task is easy
  CHECK(engine::read_json(files / "a/finetune.json")["results"] == result["results"]);
  int models = 0;
  for (const Json& run : result["results"]) {
    const std::string path = run["path"];
    models += std::filesystem::exists(path + "/model/model.safetensors");
    CHECK(!std::filesystem::exists(path + "/checkpoints"));
    CHECK(std::filesystem::exists(path + "/metrics.jsonl"));
  }
  CHECK(models == 1);
  CHECK(engine::read_file(files / "a.tsv") == "index\tprediction\n0\t0\n1\t1\n2\t1\n");

  // The same by processes; and finished runs are not trained again.
  const Json parallel = json_of(run_normlab(files.command("cola", "b", common + " --jobs 2")));
  CHECK(without_times(parallel) == without_times(result));
  const ProgramEnd again = run_normlab(files.command("cola", "a", common + " --resume"));
  CHECK(again.output.find("update") == again.output.find("\"updates\"") + 1);
  CHECK(without_times(json_of(again)) == without_times(result));
  CHECK_THAT(run_normlab(files.command("cola", "a", common + " --resume --set optim.eps=1e-3")).output,
             Contains("config.optim.eps differs"));
  CHECK_THAT(run_normlab(files.command("cola", "a", common)).output, Contains("--resume"));
  // The model that stayed is a classifier that names its classes, and a body for the next task.
  const std::string best = "a/lr-0.02-seed-1/model";
  CHECK(engine::read_json(files / (best + "/config.json"))["class_names"] == Json({"0", "1"}));
  const Json kept = json_of(run_normlab(files.command("cola", "c", "--lr 0 --epochs 1 --json", best)));
  CHECK(kept["results"][0]["value"] == result["results"][2]["value"]);
  const Json fresh =
      json_of(run_normlab(files.command("cola", "d", "--lr 0 --epochs 1 --json --head new", best)));
  CHECK(fresh["results"][0]["dev"]["loss"] != kept["results"][0]["dev"]["loss"]);
  files.task("mnli", 12, 6);
  CHECK_THAT(run_normlab(files.command("mnli", "e", "--epochs 1 --dry-run", best)).output,
             Contains("a new head"));
}

TEST_CASE("runs do not go on with other rows or another body than they began with", "[medium]") {
  GlueFiles files;
  const auto end_of = [&](const std::string& rest) {
    return run_normlab(files.command("cola", "a", "--epochs 1 " + rest));
  };
  REQUIRE(end_of("").code == 0);
  REQUIRE(end_of("--resume").code == 0);
  const auto refused = [&](const std::string& words) {
    for (const char* form : {"--resume", "--resume --only lr-1e-05-seed-1"}) {
      const ProgramEnd out = end_of(form);
      INFO(out.output);
      CHECK(out.code == 2);
      CHECK_THAT(out.last_line(), Contains(words));
    }
  };
  for (const char* split : {"train", "dev"}) {
    const std::string path = files / ("cola/" + std::string(split) + ".tsv"),
                      before = engine::read_file(path);
    engine::write_file(path, before + "bxx\t1\n");
    refused("holds other runs: contents." + std::string(split) + " differs");
    engine::write_file(path, before);
  }
  files.model("mlm", {{"rope_theta", 10000.0}, {"positions", "rope"}});
  refused("contents.model differs");
  files.model("mlm");
  REQUIRE(end_of("--resume").code == 0);
  engine::write_file(files / "a/plan.json", "[]");
  refused("plan.json: is no plan of fine-tuning");
}

TEST_CASE("finetune --predict: no file that is read is replaced, and what is wrong shows before a run is trained") {
  GlueFiles files;
  files.task("mnli", 12, 6);
  const std::string test = files.put("cola/test.tsv", "index\tsentence\n9\tax\n4\tbx\n");
  files.put("mnli/test_matched.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n");
  const std::string mismatched = files.put("mnli/test-mm.tsv", "index\tsentence1\tsentence2\n0\tb\tb\n");
  std::filesystem::rename(mismatched, files / "mnli/test_mismatched.tsv");
  const auto refused = [&](const std::string& task, const std::string& answers, const std::string& message) {
    const ProgramEnd out = run_normlab(files.command(task, "none", "--epochs 1 --predict " + answers));
    INFO(out.output);
    CHECK(out.code == 2);
    CHECK_THAT(out.last_line(), Contains(message));
    CHECK(!std::filesystem::exists(files / "none"));
  };
  for (const char* name : {"cola/train.tsv", "cola/dev.tsv", "cola/test.tsv"}) {
    const std::string before = engine::read_file(files / name);
    refused("cola", files / name, "an input of this command");
    CHECK(engine::read_file(files / name) == before);
  }
  refused("mnli", files / "mnli/test_mismatched.tsv", "an input of this command");
  refused("cola", files / "mlm/model.safetensors", "part of a model");
  refused("cola", files / "no/x.tsv", "its folder is not there");
  refused("cola", files / "cola", "a folder");
  files.put("cola/test.tsv", "index\tsentence\n9\n");
  refused("cola", files / "x.tsv", "test.tsv:2: 1 fields");
  files.put("cola/test.tsv", "index\tsentence\n9\tax\n4\tbx\n");
  REQUIRE(run_normlab(files.command("cola", "a", "--epochs 1 --predict " + files / "x.tsv")).code == 0);
  CHECK_THAT(engine::read_file(files / "x.tsv"), Contains("\n9\t") && Contains("\n4\t"));
}

TEST_CASE("a sweep that goes on believes no damaged result, and begins again what died without one") {
  GlueFiles files;
  const std::string rest = "--lr 1e-3 --epochs 1 --json ", run = files / "a/lr-0.001-seed-1";
  const Json whole = json_of(run_normlab(files.command("cola", "a", rest)));
  const std::string kept = engine::read_file(run + "/result.json");
  for (const char* text : {"{}", "[]", "5", "{\"lr\":0.5}"}) {
    engine::write_file(run + "/result.json", text);
    const ProgramEnd out = run_normlab(files.command("cola", "a", rest + "--resume"));
    CHECK(out.code == 2);
    CHECK_THAT(out.last_line(), Contains("result.json: damaged") || Contains("result.json: lr"));
  }
  // The weights of an evaluation are on the disk before its line: between the two it is made again.
  std::filesystem::remove(run + "/result.json");
  CHECK(without_times(json_of(run_normlab(files.command("cola", "a", rest + "--resume")))) ==
        without_times(whole));
  // --only in a folder of its own, and how it ends.
  const Json only = json_of(run_normlab(files.command("cola", "b", rest + "--only lr-0.001-seed-1")));
  CHECK(without_times(only)["results"] == without_times(whole)["results"]);
  for (const auto& [key, value] : whole.items()) CHECK(only.contains(key));
  const std::string breaks =
      "--lr 1e14 --epochs 1 --recipe hf --set optim.name=sgd optim.clip=0 optim.weight_decay=1e15 ";
  CHECK(run_normlab(files.command("cola", "c", breaks + "--only lr-1e+14-seed-1")).code == 1);
  FineTuneRequest request;
  request.rates = {0.001}, request.seeds = {1}, request.select = "matthews";
  CHECK(sweep_results(request, files / "none", {"lr-0.001-seed-1"})[0]["status"] == "failed");
  CHECK(sweep_results(request, files / "none")[0]["status"] == "stopped");
  request.rates = {1e-3, 1.0000000001e-3};
  CHECK_THROWS_WITH(runs_of(request), Contains("two runs would have the folder lr-0.001-seed-1"));
}

TEST_CASE("eval.every evaluates within an epoch, and the precision that is told is the one that was") {
  GlueFiles files;
  const Json result = json_of(run_normlab(files.command(
      "cola", "a", "--lr 1e-3 --epochs 1 --batch 4 --json --set eval.every=3 --set precision=bf16")));
  CHECK(result["precision"] == "bf16");
  int evaluations = 0;
  for (const Json& line : read_metrics(files / "a/lr-0.001-seed-1/metrics.jsonl"))
    evaluations += line.contains("valid_loss");
  CHECK(evaluations == 4);  // after 3, 6, 9 and 10 updates
}

TEST_CASE("MNLI has two development sets and two files of answers, STS-B scores") {
  GlueFiles files;
  files.task("mnli", 24, 9);
  files.put("mnli/test_matched.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n");
  files.put("mnli/test_mismatched.tsv", "index\tsentence1\tsentence2\n0\tb\tb\n1\ta\ta\n");
  const Json mnli = json_of(
      run_normlab(files.command("mnli", "m", "--epochs 1 --json --lr 0.01 --predict " + (files / "m.tsv"))));
  CHECK(mnli["results"][0]["dev"]["accuracy_mm"].is_number());
  CHECK(mnli["results"][0]["updates"] == 1);
  CHECK_THAT(engine::read_file(files / "m.tsv"),
             Contains("0\t") && (Contains("neutral") || Contains("entailment") || Contains("contradiction")));
  CHECK_THAT(engine::read_file(files / "m-mm.tsv"), Contains("\n1\t"));

  files.task("stsb", 24, 12);
  files.put("stsb/test.tsv", "index\tsentence1\tsentence2\n0\taxxxx\tb\n");
  const std::string rest = "--epochs 2 --json --lr 0.01 --predict " + (files / "s.tsv");
  const Json fairseq = json_of(run_normlab(files.command("stsb", "f", rest)));
  const Json hf = json_of(run_normlab(files.command("stsb", "h", rest + " --recipe hf")));
  for (const char* key : {"pearson", "spearman", "pearson_spearman"})
    CHECK(hf["results"][0]["dev"].contains(key));
  // fairseq's loss is that of score / 5.
  CHECK(hf["results"][0]["dev"]["loss"].get<double>() >
        4 * fairseq["results"][0]["dev"]["loss"].get<double>());
  CHECK(hf["results"][0]["epoch"] == 2);
  CHECK_THAT(engine::read_file(files / "s.tsv"), Contains("index\tprediction\n0\t") && Contains("."));
}

TEST_CASE("one row of dev has no correlation, which is null and chooses nothing") {
  GlueFiles files;
  files.task("stsb", 12, 1);
  const ProgramEnd out = run_normlab(files.command("stsb", "f", "--epochs 1 --lr 0.01 --json"));
  CHECK(out.code == 1);  // nothing was chosen
  CHECK_THAT(out.output, Contains("all scores are equal, so there is no correlation to choose by") &&
                             Contains("no run has a value of pearson_spearman"));
  const Json all = engine::parse_json(out.output.substr(out.output.find("\n{\n")), "stdout");
  const Json run = all["results"][0];
  CHECK(run["status"] == "done");
  for (const char* key : {"pearson", "spearman", "pearson_spearman"}) CHECK(run["dev"][key].is_null());
  CHECK(run["value"].is_null());
  CHECK(all["best_lr"].is_null());
}

TEST_CASE("a head is kept that names its classes as the task's file or as Hugging Face's copy does") {
  GlueFiles files;
  const auto source = models::load_model(files / "mlm", nn::Precision::of(engine::DType::f32));
  const auto end_with = [&](const std::string& task, const std::vector<std::string>& names) {
    const int64_t classes = task == "mnli" ? 3 : 2;
    models::save_model(*models::make_classifier(*source, {.classes = classes, .names = names},
                                                nn::Precision::of(engine::DType::f32)),
                       files / "head");
    data::load_tokenizer(files / "mlm")->save(files / "head");
    files.task(task, 6, 3);
    return run_normlab(files.command(task, "none", "--head keep --dry-run", "head"));
  };
  const char* unnamed = "does not name its classes; they are taken for contradiction, neutral, entailment";
  CHECK(end_with("cola", {"Unacceptable", "acceptable"}).code == 0);
  CHECK(end_with("cola", {"0", "1"}).code == 0);
  CHECK_THAT(end_with("cola", {"no", "yes"}).output,
             Contains("names other classes; they are taken for 0, 1"));
  CHECK_THAT(end_with("cola", {}).output, !Contains("taken for"));
  CHECK_THAT(end_with("mnli", {}).output, Contains(unnamed));
  CHECK(end_with("mnli", {"entailment", "neutral", "contradiction"}).code == 2);
}

TEST_CASE("runs that are stopped or killed go on to the same result", "[medium]") {
  GlueFiles files;
  const std::string rest =
      "--lr 0.02 --seeds 1,2 --batch 2 --epochs 12 --set checkpoint.every=7 --set checkpoint.keep=3 "
      "--set ema.decay=0.9 --json";
  const Json whole = json_of(run_normlab(files.command("cola", "whole", rest)));
  const std::string checkpoints = files / "parts/lr-0.02-seed-1/checkpoints";
  ptrdiff_t most = 0;
  const int stops = run_in_pieces(60, 80, 20, [&](int attempt) {
    if (std::filesystem::exists(checkpoints))
      most = std::max(most, std::distance(std::filesystem::directory_iterator(checkpoints), {}));
    return BINARY_DIR "/normlab " + files.command("cola", "parts", rest + " --resume") +
           (attempt % 3 == 2 ? " --jobs 2" : "");
  });
  CHECK(stops >= 2);
  CHECK(most >= 2);
  const Json parts = json_of(run_normlab(files.command("cola", "parts", rest + " --resume")));
  CHECK(without_times(parts) == without_times(whole));
  // Losses of the pieces are those of the whole, line by line.
  for (const char* name : {"/lr-0.02-seed-1", "/lr-0.02-seed-2"}) {
    const auto a = read_metrics(files / "whole" + name + "/metrics.jsonl");
    const auto b = read_metrics(files / "parts" + name + "/metrics.jsonl");
    REQUIRE(a.size() == b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      CHECK(a[i].value("loss", Json()) == b[i].value("loss", Json()));
      CHECK(a[i].value("valid_loss", Json()) == b[i].value("valid_loss", Json()));
    }
  }
}

TEST_CASE("a run that breaks is a failed one, and counts as the worst value seen") {
  GlueFiles files;
  const std::string rest =
      "--lr 1e14 --epochs 1 --recipe hf --json --set optim.name=sgd --set optim.clip=0 --set "
      "optim.weight_decay=1e15";
  const ProgramEnd alone = run_normlab(files.command("cola", "a", rest));
  INFO(alone.output);
  CHECK(alone.code == 1);
  CHECK_THAT(alone.output, Contains("no run has a value of matthews"));
  CHECK(engine::read_json(files / "a/finetune.json")["results"][0]["status"] == "failed");
  const auto run = [](double lr, int64_t seed, const Json& value) {
    return Json({{"lr", lr},
                 {"seed", seed},
                 {"status", value.is_null() ? "failed" : "done"},
                 {"value", value},
                 {"path", "p" + std::to_string(seed)}});
  };
  FineTuneRequest request;
  request.rates = {0.1, 0.2};
  request.seeds = {1, 2, 3};
  const Json results = {run(0.1, 1, 0.5),  run(0.1, 2, 0.6),    run(0.1, 3, 0.55),
                        run(0.2, 1, 0.75), run(0.2, 2, Json()), run(0.2, 3, 0.7)};
  const Json summary = sweep_summary(request, results);
  CHECK(summary["best_lr"] == 0.2);  // (0.75 + 0.5 + 0.7) / 3 = 0.65
  CHECK(summary["at_best_lr"]["n"] == 2);
  CHECK(summary["at_best_lr"]["failed"] == 1);
  CHECK(summary["at_best_lr"]["median"].get<double>() == Approx(0.725));
  CHECK(best_run(results, summary) == "p1");
  Json open = results;
  open[4]["status"] = "stopped";
  CHECK(sweep_summary(request, open)["best_lr"].is_null());
}

TEST_CASE("each mistake of finetune has its line") {
  GlueFiles files;
  const auto refused = [&](const std::string& command, const std::string& message) {
    const ProgramEnd out = run_normlab(command);
    INFO(command << "\n" << out.output);
    CHECK(out.code == 2);
    CHECK(std::count(out.output.begin(), out.output.end(), '\n') == 1);
    CHECK_THAT(out.output, Contains(message));
    CHECK(!std::filesystem::exists(files / "none"));
  };
  const auto of = [&](const std::string& rest, const std::string& model = "mlm") {
    return files.command("cola", "none", rest, model);
  };
  const auto with_train = [&](const std::string& text) {
    files.put("cola/train.tsv", text);
    return of("");
  };
  refused("finetune --task colla --model m --data d --out o", "is not cola, sst2");
  refused(of("--lr 1e-4,1e-4"), "--lr: 1e-4 is there twice");
  refused(of("--lr x"), "--lr: expected a number");
  refused(of("--seeds -1"), "--seeds");
  refused(of("--select f1"), "cola has matthews or accuracy");
  refused(of("--max-length 41"), "--max-length 41 is more than the model's 40 positions");
  refused(of("--max-length 5"), "no room for two texts: at least 6 tokens");
  refused(of("--head keep"), "no classification head");
  refused(of("--only lr-1-seed-1"), "no run of this name; --lr and --seeds give lr-1e-05-seed-1");
  refused(of("--only lr-1e-05-seed-1 --predict x.tsv"), "goes without --only");
  refused(of("--predict x.tsv"), "no test file of cola");
  refused(of("--set data.batch=3"), "--batch has it");
  refused(of("--set precision=bf16 --precision f64"), "--precision f64 says another");
  refused(of("--set precision=bf16 --precision f32"), "--precision f32 says another");
  refused(of("--set device=cuda-host"), "--device has it");
  files.task("mnli", 12, 6);
  std::filesystem::remove(files / "mnli/dev_mismatched.tsv");
  refused(files.command("mnli", "none", "--select accuracy_mm"), "no dev_mm file of mnli there");
  for (const char* other : {"mlm", "run"}) {
    if (other == std::string("run")) files.put("run/metrics.jsonl", "");
    const ProgramEnd out = run_normlab(files.command("cola", other, "--epochs 1"));
    CHECK(out.code == 2);
    CHECK_THAT(out.last_line(), Contains("holds a model or another run"));
  }
  files.model("causal", {{"objective", "clm"}});
  refused(of("", "causal"), "a causal model");
  files.model("special", Json::object(), {"<s>", "<pad>", "<mask>", "<x>"});
  refused(of("", "special"), "no special token ends a text");
  files.model("unpadded", Json::object(), {"<s>", "</s>", "<mask>", "<x>"});
  refused(of("", "unpadded"), "no special token pads a row");
  std::filesystem::remove(files.model("bare") + "/tokenizer.json");
  refused(of("", "bare"), "no tokenizer");
  files.model("short", {{"context", 5}});
  refused(of("", "short"), "tokens, the model 5 positions; --max-length cuts longer rows");
  refused(of("--recipe hf", "short"), "the model's context 5 has no room for two texts");

  // A classifier of other classes.
  const auto source = models::load_model(files / "mlm", nn::Precision::of(engine::DType::f32));
  const auto save = [&](const std::string& name, const std::vector<std::string>& names) {
    models::save_model(*models::make_classifier(*source, {.classes = int64_t(names.size()), .names = names},
                                                nn::Precision::of(engine::DType::f32)),
                       files / name);
    data::load_tokenizer(files / "mlm")->save(files / name);
  };
  save("turned", {"1", "0"});
  refused(of("", "turned"), "has \"1\" for class 0, cola \"0\"; --head new begins another");
  save("turned words", {"acceptable", "unacceptable"});
  refused("finetune --task cola --data " + files / "cola" + " --out " + files / "none" + " --model '" +
              files / "turned words" + "'",
          "has \"acceptable\" for class 0, cola \"unacceptable\"; --head new begins another");
  save("three", {"a", "b", "c"});
  refused(of("--head keep", "three"), "has 3 outputs, cola needs 2");

  // Task files.
  refused(with_train("sentence\tlabel\na\t1\nb\t2\n"), "train.tsv:3: label \"2\" is not 0 or 1");
  refused(with_train("sentence\tlabel\na\t1\nb"), "train.tsv:3: 1 fields, the first line has 2");
  refused(with_train("question\tlabel\na\t1\n"),
          "no column \"sentence\" in the first line: not a file of cola");
  refused(with_train("sentence\na\n"), "train.tsv:2: the row has no label");
  refused(with_train("sentence\tlabel\n"), "no items in it");
  refused(with_train("sentence\tlabel\n\xff\t1\n"), "not valid UTF-8");
  refused(with_train("sentence\tlabel\na\t1\n" + std::string(50, 'b') + "\t1\n"),
          "train.tsv:3: the row has 52 tokens, the model 40 positions");
  // Rows that are left out count as lines.
  files.task("mnli", 3, 3);
  files.put("mnli/train.tsv", "sentence1\tsentence2\tgold_label\na\tb\t-\na\tb\tneutral\na\tb\t-\n" +
                                  std::string(50, 'b') + "\tb\tneutral\n");
  refused(files.command("mnli", "none", ""), "train.tsv:5: the row has 55 tokens");
  std::filesystem::remove(files / "cola/train.tsv");
  refused(of(""), "no train file of cola there");
  files.task("cola", 4, 2);
  std::filesystem::remove(files / "cola/dev.tsv");
  refused(of(""), "no dev file of cola there");
}

TEST_CASE("a plan says what a sweep would do, and does nothing") {
  GlueFiles files;
  const Json plan = json_of(run_normlab(
      files.command("cola", "none", "--dry-run --json --lr 1e-5,2e-5 --seeds 1,2,3 --precision bf16")));
  for (const char* key : {"command", "version", "model", "data", "precision", "seconds", "results", "plan"})
    CHECK(plan.contains(key));
  CHECK(plan["precision"] == "bf16");
  REQUIRE(plan["results"].size() == 6);
  CHECK(plan["results"][5]["lr"] == 2e-5);
  CHECK(plan["results"][5]["seed"] == 3);
  CHECK(plan["results"][5]["status"] == "planned");
  CHECK(plan["results"][5]["updates"] == 30);
  CHECK(plan["memory"].get<double>() > 0);
  const ProgramEnd out = run_normlab(files.command("cola", "none", "--dry-run --lr 1e-5,2e-5 --seeds 1,2,3"));
  CHECK(out.code == 0);
  CHECK_THAT(out.output, Contains("cola, recipe fairseq, a new head") && Contains("40 rows of") &&
                             Contains("6 runs of 30 updates (3 an epoch), 1 of them warm-up") &&
                             Contains("chosen by matthews; epoch: the best accuracy") &&
                             Contains("memory: "));
  CHECK(!std::filesystem::exists(files / "none"));
}
