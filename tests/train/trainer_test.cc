// The training loop: it learns; resumed equals uninterrupted; micro-batches add up to a batch; budgets, early
// stop, averages, failures.
#include "train/trainer.h"

#include <filesystem>

#include "data/shard_set.h"
#include "data/train_tokenizer.h"
#include "engine/base/file.h"
#include "engine/cpu/parallel.h"
#include "largest_gap.h"
#include "models/model_files.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/memory_check.h"
#include "train/report/report_data.h"
#include "training_support.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

std::vector<double> weights(const std::string& run) {
  const engine::Safetensors file(list_checkpoints(run).back().folder + "/model.safetensors");
  std::vector<double> all;
  for (const auto& entry : file.entries()) {
    const std::vector<double> values = file.load(entry.name).to_vector();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

// A run of 24 updates in one go, and one that stops after `cut` and goes on in a new trainer.
void check_resume(Job& job, int64_t cut) {
  job.train("whole");
  job.set("budget.steps", cut).train("cut");
  job.set("budget.steps", 24).train("cut", RunStart::resume);
  for (const char* key : {"loss", "grad_norm", "lr", "loss_scale"}) {
    INFO(key);
    CHECK(series(job.run("whole"), key) == series(job.run("cut"), key));
  }
  CHECK(series(job.run("whole"), "loss").size() == 24);
  CHECK(weights(job.run("whole")) == weights(job.run("cut")));
}

}  // namespace

TEST_CASE("training learns what can be learned") {
  Job job;
  job.set("budget.steps", 150).set("schedule.steps", 150);
  CHECK(job.train("run") == RunEnd::finished);
  const std::vector<double> loss = series(job.run("run"), "loss"),
                            valid = series(job.run("run"), "valid_loss");
  CHECK(loss.front() == Approx(std::log(16)).epsilon(0.1));
  // The next token is known in 13 of 16 cases: the entropy of the language is 0.99 nats.
  CHECK(mean_of_last(loss, 10) < 1.75);
  CHECK(valid.back() < 1.75);
  CHECK(valid.back() > 0.99);
}

TEST_CASE("the first metrics line says what the run is, and how MFU is counted") {
  Job job;
  // As if the run had been cut before its first line: the one that goes on writes it.
  job.set("log.every", 2).set("budget.steps", 1).set("schedule.steps", 6).set("checkpoint.every", 1);
  job.train("run");
  std::filesystem::remove(job.run("run") + "/metrics.jsonl");
  job.set("budget.steps", 6).train("run", RunStart::resume);
  const std::vector<Json> records = read_metrics(job.run("run") + "/metrics.jsonl");
  const Json& first = records.front();
  // Embeddings 16 x 16 and 16 x 16; two layers of norms (2 x 16 each, mid 64), head gains, qkv, out, up,
  // down.
  const int layer = 3 * 32 + 64 + 2 + (48 * 16 + 48) + (256 + 16) + (512 + 32) + (512 + 16);
  CHECK(first["parameters"] == 16 * 16 + 16 * 16 + 2 * layer + 32);
  const double matrices = 2 * (768 + 256 + 512 + 512) + 256;
  CHECK(first["flops_per_token"] == 6 * matrices + 12 * 2 * 16 * 16);
  CHECK(first["peak_flops"].get<double>() > 1e8);
  for (const Json& r : records) {
    if (!r.contains("loss")) continue;
    CHECK(r["mfu"].get<double>() ==
          Approx(r["tokens_per_second"].get<double>() * first["flops_per_token"].get<double>() /
                 first["peak_flops"].get<double>()));
    CHECK(r["peak_memory"].get<double>() > 0);
    CHECK(r.contains("parameters") == (r == first));
  }
}

TEST_CASE("the first metrics line says what the run is, also where it is a validation") {
  Job job;
  job.set("log.every", 4).set("eval.every", 2).set("budget.steps", 4).train("run");
  const std::vector<Json> records = read_metrics(job.run("run") + "/metrics.jsonl");
  REQUIRE(records.size() == 3);
  CHECK(records[0].contains("valid_loss"));
  for (const Json& r : records) CHECK(r.contains("parameters") == (r == records[0]));
  const RunReport report = read_run(job.run("run"));
  REQUIRE(!report.numbers.empty());
  CHECK(report.numbers[0].first == "parameters");
}

TEST_CASE("a resumed run is the uninterrupted one, loss by loss") {
  Job job;
  SECTION("plain, cut at a checkpoint and between two") { check_resume(job, GENERATE(8, 11)); }
  SECTION("accumulation, dropout, an average of the weights") {
    check_resume(job.set("data.accumulate", 2)
                     .set("dropout.residual", 0.1)
                     .set("dropout.attention", 0.1)
                     .set("ema.decay", 0.9),
                 7);
  }
  SECTION("random crops, activation checkpointing") {
    check_resume(job.set("data.sampler", "random_crop")
                     .set("activation_checkpointing", true)
                     .set("dropout.residual", 0.2),
                 5);
  }
  SECTION("f16 with a loss scale that moves") {
    check_resume(job.set("precision", "f16").set("loss_scale.init", 1e8).set("loss_scale.window", 3), 9);
  }
  SECTION("f16 without masters, an average of the weights") {
    check_resume(job.set("precision", "f16").set("loss_scale.memory_efficient", true).set("ema.decay", 0.9),
                 9);
  }
  SECTION("bf16") { check_resume(job.set("precision", "bf16"), 10); }
  SECTION("nag") { check_resume(job.set("optim.name", "nag").set("optim.lr", 0.1), 10); }
  SECTION("past the end of an epoch") { check_resume(job.set("data.batch", 40), 13); }
}

TEST_CASE("a resumed run tells TensorBoard which steps it writes again, and no others") {
  Job job;
  job.set("log.tensorboard", true).set("budget.steps", 8).train("run");
  job.set("budget.steps", 10).train("run", RunStart::resume);
  // Fields step (2) = 9 and session log (7) with status START: TensorBoard drops steps 9 and later before it.
  const std::string start("\x10\x09\x3a\x02\x08\x01", 6);
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(job.run("run")))
    if (entry.path().filename().string().starts_with("events."))
      found += engine::read_file(entry.path()).find(start) != std::string::npos;
  CHECK(found == 1);
}

TEST_CASE("moments of another optimizer are refused") {
  Job job;
  job.set("budget.steps", 4).train("run");
  job.set("budget.steps", 8).set("optim.name", "nag");
  CHECK_THROWS_WITH(job.train("run", RunStart::resume),
                    Contains("optimizer.safetensors: second_moment is there: written by an optimizer that keeps other moments"));
}

TEST_CASE("the number of threads changes nothing") {
  Job job;
  job.train("1");
  for (const char* threads : {"2", "3", "8"}) {
    INFO(threads << " threads");
    job.set("threads", std::atoi(threads)).train(threads);
    for (const char* key : {"loss", "grad_norm", "valid_loss"})
      CHECK(series(job.run("1"), key) == series(job.run(threads), key));
    CHECK(weights(job.run("1")) == weights(job.run(threads)));
  }
  engine::cpu::set_thread_count(1);
}

TEST_CASE("micro-batches add up to a batch") {
  Job job;
  job.set("data.batch", 8).train("one");
  const auto whole = series(job.run("one"), "loss"), norm = series(job.run("one"), "grad_norm");
  for (const auto& [batch, accumulate] : {std::pair{4, 2}, std::pair{2, 4}, std::pair{1, 8}}) {
    const std::string name = "micro" + std::to_string(batch);
    job.set("data.batch", batch).set("data.accumulate", accumulate).train(name);
    const auto loss = series(job.run(name), "loss"), norms = series(job.run(name), "grad_norm");
    REQUIRE(loss.size() == whole.size());
    for (size_t i = 0; i < loss.size(); ++i) {
      CHECK(loss[i] == Approx(whole[i]).epsilon(2e-5));
      CHECK(norms[i] == Approx(norm[i]).epsilon(1e-3));
    }
  }
}

TEST_CASE("budgets end a run, the first that is spent counts") {
  Job job;
  job.config["budget"] = Json::object();
  job.set("schedule.steps", 0);
  SECTION("tokens") {
    job.set("budget.tokens", 1000).train("run");  // 64 an update
    CHECK(series(job.run("run"), "loss").size() == 16);
  }
  SECTION("epochs") {
    job.set("data.batch", 25).set("budget.epochs", 1.5).train("run");  // 375 rows an epoch
    CHECK(series(job.run("run"), "loss").size() == 23);
  }
  SECTION("seconds") {
    job.set("budget.seconds", 0.4).set("log.every", 10).set("checkpoint.every", 0).train("run");
    const double seconds = series(job.run("run"), "seconds").back();
    CHECK(seconds >= 0.4);
    CHECK(seconds < 2);
    CHECK(series(job.run("run"), "lr").back() < 0.001);  // the schedule follows the clock
  }
  SECTION("seconds beside others") {
    job.set("budget.seconds", 0.4)
        .set("budget.epochs", 30000)
        .set("log.every", 10)
        .set("checkpoint.every", 0);
    job.train("run");
    CHECK(series(job.run("run"), "lr").back() < 0.001);  // it follows what is spent first
  }
  SECTION("as good as none") {
    write_shard(job.folder / "train.bin", learnable_tokens(20000, 16, 1), 16);
    job.set("data.context", 1)
        .set("data.batch", 1)
        .set("budget.epochs", 1e15)
        .set("budget.steps", 5)
        .train("run");
    CHECK(series(job.run("run"), "lr").back() == Approx(0.01 * 0.25));  // of a cosine over five
  }
  SECTION("steps before tokens") {
    job.set("budget.tokens", 100000).set("budget.steps", 5).train("run");
    CHECK(series(job.run("run"), "loss").size() == 5);
  }
}

TEST_CASE("a run that no longer gains stops early") {
  Job job;
  job.set("optim.lr", 1e-30).set("optim.weight_decay", 0).set("eval.every", 2).set("eval.patience", 3);
  CHECK(job.train("run") == RunEnd::stopped_early);
  CHECK(series(job.run("run"), "valid_loss").size() == 4);  // one best, three without a gain
  CHECK(series(job.run("run"), "loss").size() == 8);
}

TEST_CASE("a run that has ended stays as it is when it is resumed") {
  Job job;
  SECTION("its budget is spent") { job.set("eval.every", 7); }
  SECTION("it stopped early") {
    job.set("optim.lr", 1e-30).set("optim.weight_decay", 0).set("eval.every", 2).set("eval.patience", 3);
  }
  const RunEnd end = job.train("run");
  const std::string metrics = engine::read_file(job.run("run") + "/metrics.jsonl");
  const auto steps = [&] {
    std::vector<int64_t> out;
    for (const CheckpointInfo& c : list_checkpoints(job.run("run"))) out.push_back(c.step);
    return out;
  };
  const std::vector<int64_t> before = steps();
  CHECK(job.train("run", RunStart::resume) == end);
  CHECK(engine::read_file(job.run("run") + "/metrics.jsonl") == metrics);
  CHECK(steps() == before);
}

TEST_CASE("the best model is saved when it is found, with its own loss") {
  Job job;
  // The first validation stays the best; the last one is not beside a checkpoint of the schedule.
  job.set("optim.lr", 1e-30).set("optim.weight_decay", 0).set("eval.every", 6);
  job.set("checkpoint.every", 5).set("checkpoint.keep", 3).set("checkpoint.keep_best", 1);
  job.train("run");
  std::vector<int64_t> steps, validated;
  for (const CheckpointInfo& c : list_checkpoints(job.run("run"))) {
    steps.push_back(c.step);
    if (c.valid_loss) validated.push_back(c.step);
  }
  CHECK(steps == std::vector<int64_t>{6, 15, 20, 24});
  CHECK(validated == std::vector<int64_t>{6, 24});
  CHECK_THAT(resolve_model(job.run("run")), Catch::Matchers::EndsWith("step-00000006"));
  job.set("checkpoint.keep_best", 0).train("none");
  CHECK(list_checkpoints(job.run("none")).front().step == 15);
}

TEST_CASE("training and validation data have one vocabulary") {
  Job job;
  write_shard(job.folder / "wider.bin", learnable_tokens(500, 20, 2), 20);
  CHECK_THROWS_WITH(job.set("data.valid", job.folder / "wider.bin").set("model.vocab_size", 32).train("run"),
                    Contains("wider.bin: a vocabulary of 20, data.train has 16"));
}

TEST_CASE("the saved model is the average of the weights") {
  Job job;
  job.set("ema.decay", 0.75).set("budget.steps", 1).set("schedule.warmup", 0);
  const TrainConfig config = parse_config(job.config, "test");
  RunDir dir(job.run("run"), RunStart::fresh);
  dir.write_config(config_json(config));
  Trainer trainer(config, models::model_config_from_section(config.model, "model"), dir);
  const engine::Tensor& values = trainer.model().parameters().values();
  const std::vector<double> before = values.to_vector();
  trainer.run();
  const std::vector<double> after = values.to_vector();
  const auto saved = models::load_model(list_checkpoints(job.run("run")).back().folder,
                                        nn::Precision::of(engine::DType::f32));
  const std::vector<double> average = saved->parameters().values().to_vector();
  REQUIRE(average.size() == after.size());
  double moved = 0, worst = 0;
  for (size_t i = 0; i < after.size(); ++i) {
    moved = std::max(moved, std::abs(after[i] - before[i]));
    worst = larger(worst, average[i] - (0.75 * before[i] + 0.25 * after[i]));
  }
  CHECK(moved > 1e-3);
  CHECK(worst < 1e-6);
}

TEST_CASE("a tokenizer that has nothing to begin a text with costs the samples, not the run") {
  Job job;
  const std::string_view letters = "abcdefghijklmnop";
  const auto tokenizer = data::train_tokenizer({&letters, 1}, {.kind = data::TokenizerKind::character});
  REQUIRE(tokenizer->vocab_size() == 16);
  tokenizer->save(job.folder / "tokenizer");
  data::ShardWriter writer(job.folder / "letters.bin", 16, 0, data::hash_bytes(tokenizer->hash()));
  const std::vector<int32_t> ids = learnable_tokens(6000, 16, 1);
  writer.add(ids, {uint32_t(ids.size())});
  writer.commit();
  job.set("data.tokenizer", job.folder / "tokenizer").set("data.train", job.folder / "letters.bin");
  job.set("data.valid", "").set("eval.every", 0).set("log.samples", 2);
  CHECK(job.train("run") == RunEnd::finished);
  CHECK(series(job.run("run"), "loss").size() == 24);
}

TEST_CASE("numbers beyond repair are named by layer and op") {
  Job job;
  job.set("optim.lr", 1e14).set("optim.clip", 0).set("schedule.warmup", 0);
  CHECK_THROWS_WITH(job.train("run"), Contains("First bad number: forward of layer 0 attn, op ") &&
                                          Contains("not finite") && Contains("Lower optim.lr"));
  // The forward that is looked at again has the same dropout, and each layer's ops even where they are
  // recomputed.
  job.set("dropout.residual", 0.3).set("activation_checkpointing", true);
  CHECK_THROWS_WITH(job.train("dropout"), Contains("First bad number: forward of layer 0 attn, op "));
  // f16 gives up when the loss scale cannot fall further.
  job.set("precision", "f16").set("loss_scale.init", 2).set("loss_scale.min", 1);
  CHECK_THROWS_WITH(job.train("f16"), Contains("loss scale"));
}

TEST_CASE("a run that cannot fit is refused with settings that would fit") {
  Job job;
  job.set("model", {{"preset", "gpt-125m"}}).set("data.batch", 64);
  const TrainConfig config = parse_config(job.config, "test");
  const auto model = models::model_config_from_section(config.model, "model");
  CHECK_THROWS_WITH(
      check_memory(config, model, model.context, 8e9),
      Contains("which is not enough. What would fit: data.batch=4, data.accumulate=16 (7.0 GiB); or "
               "activation_checkpointing=true, data.batch=16, data.accumulate=4 (") &&
          Contains("); or data.context=128 (6.9 GiB)"));
  // Nothing alone is enough, then not even everything.
  CHECK_THROWS_WITH(check_memory(config, model, model.context, 3.2e9),
                    Contains("What would fit: activation_checkpointing=true, data.batch=") &&
                        Contains("precision=f16, loss_scale.memory_efficient=true (") &&
                        Contains("model.layers="));
  CHECK_THROWS_WITH(check_memory(config, model, model.context, 1e8),
                    Contains("a smaller model: parameters, gradients and moments alone take"));
  CHECK_NOTHROW(check_memory(config, model, model.context, 1e13));
  // All micro-batches of an update are there at once.
  for (const double accumulate : {1e6, 1e15}) {
    Job endless;
    const TrainConfig c = parse_config(endless.set("data.accumulate", accumulate).config, "test");
    const auto small = models::model_config_from_section(c.model, "model");
    CHECK_THROWS_WITH(
        check_memory(c, small, small.context, 1e9),
        Contains("which is not enough. What would fit: ") && Contains("data.batch=4, data.accumulate="));
  }
}

TEST_CASE("bf16 and f16 end within 1 % of f32", "[medium]") {
  Job job;
  // A rate and batch at which the run converges: a noisier one ends a few percent apart for any change of
  // rounding.
  job.set("budget.steps", 400).set("schedule.steps", 400).set("checkpoint.every", 0).set("eval.every", 0);
  job.set("optim.lr", 0.003).set("data.batch", 16);
  job.train("f32");
  const double reference = series(job.run("f32"), "valid_loss").back();
  const auto check_close = [&](const char* name) {
    job.train(name);
    INFO(name);
    CHECK(series(job.run(name), "valid_loss").back() == Approx(reference).epsilon(0.01));
  };
  job.set("precision", "bf16"), check_close("bf16");
  job.set("precision", "f16"), check_close("f16");
  job.set("loss_scale.memory_efficient", true), check_close("f16 without masters");
}

TEST_CASE("f16 with loss scaling trains where f16 without it stalls", "[medium]") {
  Job job;
  job.set("budget.steps", 400).set("schedule.steps", 400).set("checkpoint.every", 0).set("eval.every", 0);
  job.set("optim.lr", 0.003).set("data.batch", 16).set("log.every", 1);
  job.train("f32");
  // A loss that is 2^26 times smaller: its gradients lie below 6e-8, the smallest number that f16 has.
  job.set("precision", "f16").set("loss_scale.init", std::ldexp(1.0, -26));
  job.set("loss_scale.window", 1000000).train("fixed");  // never doubles: no scaling
  job.set("loss_scale.window", 3).train("dynamic");
  const auto end = [&](const char* run) { return series(job.run(run), "valid_loss").back(); };
  INFO("f32 " << end("f32") << ", fixed " << end("fixed") << ", dynamic " << end("dynamic"));
  CHECK(end("fixed") > 2.7);  // ln 16 = 2.77: nothing was learned
  CHECK(end("fixed") > end("dynamic") + 0.5);
  // 78 updates pass before the scale is 1; later one update in four tries a scale that is too large.
  CHECK(end("dynamic") == Approx(end("f32")).epsilon(0.1));
  CHECK(series(job.run("dynamic"), "loss_scale").back() > 1);
}
